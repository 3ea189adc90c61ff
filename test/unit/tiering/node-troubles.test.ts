import { expect, test } from 'vitest';
import { NodeTroubles } from '../../../tiering/node-troubles.ts';

/** When a node that always fails is tried, if one looks every 100 ms. */
function triesOf(troubles: NodeTroubles, untilMs: number): readonly number[] {
  const tries: number[] = [];
  for (let nowMs = 0; nowMs <= untilMs; nowMs += 100) {
    if (!troubles.mayTry(1, nowMs)) continue;
    tries.push(nowMs);
    troubles.failed(1, 'EINVAL', nowMs);
  }
  return tries;
}

test('pauses grow from 2 s to a minute', () => {
  const tries = triesOf(new NodeTroubles(), 300_000);
  const pauses = tries.slice(1).map((atMs, index) => atMs - (tries[index] ?? 0));
  expect(pauses.slice(0, 7)).toEqual([2_000, 4_000, 8_000, 16_000, 32_000, 60_000, 60_000]);
});

test('what is seen again between two tries does not make the pause longer, and what is new is told', () => {
  const troubles = new NodeTroubles();
  expect(troubles.failed(1, 'EIO', 0)).toBe(true);
  expect(troubles.failed(1, 'EIO', 500)).toBe(false);
  expect(troubles.failed(1, 'ENOMEM', 1_000)).toBe(true);
  expect(troubles.mayTry(1, 1_999)).toBe(false);
  expect(troubles.mayTry(1, 2_000)).toBe(true);
  expect(troubles.problem).toBe('node 1: ENOMEM');
});

test('each node has its own pause, and the problem names all that are in trouble', () => {
  const troubles = new NodeTroubles();
  troubles.failed(3, 'EIO', 0);
  troubles.failed(1, 'EINVAL', 0);
  expect(troubles.problem).toBe('node 1: EINVAL; node 3: EIO');
  expect([troubles.mended(3), troubles.mended(3), troubles.mended(2)]).toEqual([true, false, false]);
  expect(troubles.problem).toBe('node 1: EINVAL');
  expect([troubles.isDue(1_000), troubles.isDue(2_000)]).toEqual([false, true]);
});

test('a node that fails again soon after it was mended is not tried from the start, one that was well for long is', () => {
  const troubles = new NodeTroubles();
  troubles.failed(1, 'died', 0);
  troubles.mended(1);
  troubles.failed(1, 'died', 3_000);
  expect(troubles.mayTry(1, 6_999)).toBe(false);
  troubles.mended(1);
  troubles.failed(1, 'died', 100_000);
  expect(troubles.mayTry(1, 102_000)).toBe(true);
});
