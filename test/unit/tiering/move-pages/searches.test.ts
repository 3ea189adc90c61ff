import { expect, test } from 'vitest';
import { Searches } from '../../../../tiering/move-pages/searches.ts';

test('a search in vain is repeated after a second, then later and later, up to half a minute', () => {
  const searches = new Searches();
  let nowMs = 0;
  const pauses = Array.from({ length: 7 }, () => {
    searches.ended(100, 0, nowMs, false);
    const since = nowMs;
    while (!searches.isDue(100, nowMs)) nowMs += 500;
    return nowMs - since;
  });
  expect(pauses).toEqual([1000, 2000, 4000, 8000, 16_000, 30_000, 30_000]);
});

test('at once when something was found, when time ran out, and when much more is wanted', () => {
  const searches = new Searches();
  searches.ended(100, 1, 0, false);
  expect(searches.isDue(100, 0)).toBe(true);
  searches.ended(100, 0, 0, true);
  expect(searches.isDue(100, 0)).toBe(true);
  searches.ended(100, 0, 0, false);
  expect(searches.isDue(140, 0)).toBe(false);
  expect(searches.isDue(160, 0)).toBe(true);
});
