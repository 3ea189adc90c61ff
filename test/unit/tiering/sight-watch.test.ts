import { expect, test } from 'vitest';
import { SightWatch } from '../../../tiering/sight-watch.ts';

function watching(): SightWatch {
  const sight = new SightWatch();
  sight.begins(1, 100, 0);
  return sight;
}

test.each([
  [500, 1_500],
  [2_000, 6_000],
])(
  'with aggregations of %i ms nothing is asked while the newest snapshot is no older than %i ms',
  (aggregationMs, limitMs) => {
    const sight = watching();
    expect(sight.look(1, aggregationMs, undefined, limitMs)).toBe('fine');
    expect(sight.look(1, aggregationMs, 10_000, 10_000 + limitMs)).toBe('fine');
    expect(sight.look(1, aggregationMs, 10_000, 10_001 + limitMs)).toBe('ask');
  },
);

test('a kdamond that answers and is not seen for two aggregations more is blind, until it is seen', () => {
  const sight = watching();
  expect(sight.look(1, 500, 1_000, 3_000)).toBe('ask');
  sight.answered(1, 3_000);
  expect(sight.look(1, 500, 1_000, 4_500)).toBe('wait');
  expect(sight.isBlind(1)).toBe(false);
  sight.look(1, 500, 1_000, 4_501);
  expect(sight.isBlind(1)).toBe(true);
  expect(sight.look(1, 500, 4_900, 5_000)).toBe('fine');
  expect(sight.isBlind(1)).toBe(false);
});

test('a kdamond whose passes take long is busy, not blind', () => {
  const sight = watching();
  // Each snapshot is of before a pass of 10 s, after which it answers.
  for (let passMs = 1_000; passMs < 60_000; passMs += 10_500) {
    expect(sight.look(1, 500, passMs, passMs + 2_000)).toBe('ask');
    sight.answered(1, passMs + 10_000);
    expect(sight.look(1, 500, passMs, passMs + 10_100)).toBe('wait');
    expect(sight.look(1, 500, passMs + 10_500, passMs + 10_600)).toBe('fine');
    expect(sight.isBlind(1)).toBe(false);
  }
});

test('a new kdamond of the same node begins anew', () => {
  const sight = watching();
  sight.answered(1, 3_000);
  sight.look(1, 500, undefined, 10_000);
  expect(sight.isBlind(1)).toBe(true);
  expect([sight.begins(1, 100, 10_000), sight.begins(1, 200, 10_000)]).toEqual([false, true]);
  expect([sight.isBlind(1), sight.look(1, 500, undefined, 11_000)]).toEqual([false, 'fine']);
});
