import { setTimeout as sleep } from 'node:timers/promises';

/** Asks again and again until something is so; fails after too long a time. */
export async function eventually(
  what: string,
  timeoutMs: number,
  condition: () => boolean | Promise<boolean>,
): Promise<void> {
  for (const deadline = Date.now() + timeoutMs; !(await condition()); await sleep(500)) {
    if (Date.now() > deadline) throw new Error(`not within ${timeoutMs / 1000} s: ${what}`);
  }
}
