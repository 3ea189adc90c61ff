import { expect, test } from 'vitest';
import { limitRegions } from '../../../tiering/region-limit.ts';
import { kdamond } from '../damon/desired.ts';

test('kdamonds are watched in no more regions than can be traced, and who is limited is said', () => {
  const kdamonds = [
    kdamond(0, { minRegions: 100, maxRegions: 400 }),
    kdamond(1, { minRegions: 1000, maxRegions: 4000 }),
    kdamond(2, { minRegions: 3000, maxRegions: 6000 }),
  ];
  expect(limitRegions(kdamonds, 10_000)).toEqual({ kdamonds, limit: undefined });
  const limited = limitRegions(kdamonds, 2000);
  expect(limited.kdamonds.map(({ minRegions, maxRegions }) => [minRegions, maxRegions])).toEqual([
    [100, 400],
    [1000, 2000],
    [2000, 2000],
  ]);
  expect(limited.limit).toMatch(/^nodes 1, 2 watched in at most 2000 regions instead of 6000: /);
});
