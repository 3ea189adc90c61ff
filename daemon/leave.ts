import { exitGroup } from '../numa/syscalls/exit-group.ts';

/** Ends the process with this code, also when a file hangs. What was written before is out: standard output and the log are written at once. */
export async function leave(code: number): Promise<never> {
  await exitGroup(code).catch(() => undefined);
  return process.exit(code);
}
