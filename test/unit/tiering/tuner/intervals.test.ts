import { describe, expect, it } from 'vitest';
import type { Policy } from '../../../../tiering/policy.ts';
import { DEFAULT_POLICY } from '../../../../tiering/policy.ts';
import type { HeatAround } from '../../../../tiering/tuner/intervals.ts';
import {
  firstIntervals,
  intervalsInForce,
  longestAggregationMs,
  samplesIn,
  tuneIntervals,
} from '../../../../tiering/tuner/intervals.ts';
import { heatLevels } from '../../../../tiering/tuner/levels.ts';
import type { Heated } from './histograms.ts';
import { nodeHeat } from './histograms.ts';

const GIB = 1024 ** 3;
const LONG_AGO = { changedAtMs: -1_000_000 };
const SHORT = { samplingIntervalMs: 50, aggregationIntervalMs: 500 };

function policy(change: Partial<Policy['monitoring']> = {}): Policy {
  return { ...DEFAULT_POLICY, monitoring: { ...DEFAULT_POLICY.monitoring, ...change } };
}

/** A fast node of 4 units and what lies below it. */
function around(fast: readonly Heated[], slow: readonly Heated[], unit = GIB): HeatAround {
  const scaled = (memory: readonly Heated[]) =>
    nodeHeat(...memory.map(([size, share]): Heated => [size * unit, share]));
  const heats = { fast: scaled(fast), slow: [scaled(slow)] };
  const levels = heatLevels({ ...heats, capacityBytes: 4 * unit, deadBytes: 0, maxNrAccesses: 10 }, DEFAULT_POLICY);
  return { levels, fast: heats.fast.heat, slow: heats.slow.map(({ heat }) => heat) };
}

/** Both as hot as that, so that the border is there. */
const borderAt = (share: number, unit = GIB) => around([[4, share]], [[4, share]], unit);
const nextMs = (seen: readonly HeatAround[], from: number = SHORT.samplingIntervalMs, limits = policy()) =>
  tuneIntervals({ samplingIntervalMs: from, aggregationIntervalMs: from * 10, ...LONG_AGO }, limits, seen, 0)
    .samplingIntervalMs;

describe('what a policy fixes', () => {
  it.each<[Partial<Policy['monitoring']>, number, number]>([
    [{}, 50, 500],
    [{ samplingIntervalMs: 5 }, 5, 50],
    [{ samplingIntervalMs: 5, aggregationIntervalMs: 100 }, 5, 100],
    [{ aggregationIntervalMs: 2000 }, 200, 2000],
    [{ minSamplingIntervalMs: 100 }, 100, 1000],
    [{ minSamplingIntervalMs: 5, maxSamplingIntervalMs: 10 }, 10, 100],
  ])(
    '%j begins with samples of %i ms, %i ms an aggregation',
    (monitoring, samplingIntervalMs, aggregationIntervalMs) => {
      expect(firstIntervals(policy(monitoring))).toEqual({ samplingIntervalMs, aggregationIntervalMs });
    },
  );

  it('comes before what was tuned, and the bounds hold for what was tuned', () => {
    const tuned = { samplingIntervalMs: 400, aggregationIntervalMs: 4000 };
    expect(intervalsInForce(policy(), undefined)).toEqual(SHORT);
    expect(intervalsInForce(policy(), tuned)).toEqual(tuned);
    expect(intervalsInForce(policy({ samplingIntervalMs: 20 }), tuned).samplingIntervalMs).toBe(20);
    expect(intervalsInForce(policy({ aggregationIntervalMs: 700 }), tuned).aggregationIntervalMs).toBe(700);
    expect(intervalsInForce(policy({ maxSamplingIntervalMs: 100 }), tuned).aggregationIntervalMs).toBe(1000);
  });

  it('is not tuned, whatever is seen', () => {
    const fixed = policy({ samplingIntervalMs: 30 });
    const tuned = tuneIntervals({ ...SHORT, ...LONG_AGO }, fixed, [borderAt(0.95)], 0);
    expect(tuned).toMatchObject({ samplingIntervalMs: 30, aggregationIntervalMs: 300 });
  });

  it('tells the longest aggregation: how long the daemon may hear nothing', () => {
    expect(longestAggregationMs(policy())).toBe(10_000);
    expect(longestAggregationMs(policy({ aggregationIntervalMs: 60_000 }))).toBe(60_000);
    expect(longestAggregationMs(policy({ maxSamplingIntervalMs: 200 }))).toBe(2000);
  });

  it('gives the samples of an aggregation', () => {
    expect(samplesIn(SHORT)).toBe(10);
    expect(samplesIn({ samplingIntervalMs: 30, aggregationIntervalMs: 100 })).toBe(3);
  });
});

describe('where more is touched than fits', () => {
  it.each([0.15, 0.3, 0.55])('a border that %d of the samples see is seen well: nothing changes', (share) => {
    expect(nextMs([borderAt(share)])).toBe(50);
  });

  it('where nearly every sample sees an access they get shorter, by a factor of four at most, down to the bound', () => {
    expect(nextMs([borderAt(0.95)], 1000)).toBe(250);
    expect(nextMs([borderAt(0.7)], 1000)).toBeGreaterThan(250);
    expect(nextMs([borderAt(0.95)])).toBe(20);
    expect(nextMs([borderAt(0.95)], 50, policy({ minSamplingIntervalMs: 45 }))).toBe(45);
  });

  it('where hardly one does they get longer, by a factor of four at most, up to the bound', () => {
    expect(nextMs([borderAt(0.03)])).toBe(200);
    expect(nextMs([borderAt(0.03)], 500)).toBe(1000);
    expect(nextMs([borderAt(0.08)])).toBeGreaterThan(150);
  });

  it('a border among pages that every sample sees still gives numbers', () => {
    expect(nextMs([borderAt(1)], 1000)).toBe(250);
  });

  it.each([
    ['1 GiB', GIB / 4],
    ['1 TiB', 256 * GIB],
  ])('size does not matter: %s', (_, unit) => {
    expect(nextMs([borderAt(0.03, unit)])).toBe(200);
  });

  it('of 16 nodes the one with the hottest border counts', () => {
    const dim = Array.from({ length: 15 }, () => borderAt(0.03));
    expect(nextMs([...dim, borderAt(0.3)])).toBe(50);
    expect(nextMs(dim)).toBe(200);
  });
});

describe('where all that is touched fits', () => {
  it('they get longer while much of the heat is on slow nodes and hardly shows', () => {
    expect(nextMs([around([[2, 0.05]], [[1, 0.05]])])).toBe(200);
  });

  it('they stay while what is plain to see goes up, and when next to nothing is below', () => {
    expect(nextMs([around([[2, 0.05]], [[1, 0.9]])])).toBe(50);
    expect(nextMs([around([[2, 0.9]], [[0.5, 0.02]])])).toBe(50);
    expect(nextMs([around([[2, 0]], [[4, 0]])])).toBe(50);
  });

  it('they stay while nothing is known', () => {
    expect(nextMs([])).toBe(50);
  });
});

describe('changes', () => {
  it('begin with the first interval', () => {
    expect(tuneIntervals(undefined, policy(), [borderAt(0.03)], 7)).toEqual({ ...SHORT, changedAtMs: 7 });
  });

  it('wait for eight aggregations after one another', () => {
    const before = { ...SHORT, changedAtMs: 1000 };
    expect(tuneIntervals(before, policy(), [borderAt(0.03)], 4900)).toBe(before);
    expect(tuneIntervals(before, policy(), [borderAt(0.03)], 5000)).toEqual({
      samplingIntervalMs: 200,
      aggregationIntervalMs: 2000,
      changedAtMs: 5000,
    });
  });

  it('follow new bounds at once', () => {
    const before = { samplingIntervalMs: 800, aggregationIntervalMs: 8000, changedAtMs: 0 };
    expect(tuneIntervals(before, policy({ maxSamplingIntervalMs: 100 }), [], 1)).toEqual({
      samplingIntervalMs: 100,
      aggregationIntervalMs: 1000,
      changedAtMs: 1,
    });
  });
});
