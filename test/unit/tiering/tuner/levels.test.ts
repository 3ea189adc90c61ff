import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { heatClass, shareOfClass } from '../../../../tiering/heat/heat-histogram.ts';
import { DEFAULT_POLICY } from '../../../../tiering/policy.ts';
import { heatLevels, nrAccessesOf, surelyHotBytes } from '../../../../tiering/tuner/levels.ts';
import type { Heated } from './histograms.ts';
import { histogram, nodeHeat } from './histograms.ts';

const GIB = 1024 ** 3;
const SAMPLES = 10;

interface Around {
  readonly fast: readonly Heated[];
  readonly slow: readonly Heated[];
  readonly capacityBytes: number;
  readonly deadBytes?: number;
  /** Default: all of it. */
  readonly movableBelowBytes?: number;
}

function levels({ fast, slow, capacityBytes, deadBytes = 0, movableBelowBytes }: Around, policy = DEFAULT_POLICY) {
  const below = nodeHeat(...slow);
  const slowHeat = { ...below, movableBytes: movableBelowBytes ?? below.movableBytes };
  const memory = { fast: nodeHeat(...fast), slow: [slowHeat], capacityBytes, deadBytes };
  return heatLevels({ ...memory, maxNrAccesses: SAMPLES }, policy);
}

describe('all that is touched fits', () => {
  const around: Around = {
    fast: [[8, 0]],
    slow: [
      [1, 0.9],
      [2, 0.1],
    ],
    capacityBytes: 4,
  };

  it('what a fifth of the samples saw is worth an exchange, whatever was touched at all goes up into free room', () => {
    expect(levels(around)).toMatchObject({ isCrowded: false, hotFrom: 2, fillFrom: 1 });
  });

  it('nothing that is touched makes room', () => {
    expect(levels(around)).toMatchObject({ coldUpTo: 0, exchange: { bytes: 0 } });
  });

  it('the least rate of a promotion is the operator’s', () => {
    const policy = { ...DEFAULT_POLICY, promotion: { ...DEFAULT_POLICY.promotion, minAccessRate: 0.5 } };
    expect(levels(around, policy)).toMatchObject({ hotFrom: 5, fillFrom: 5 });
  });
});

describe('more is touched than fits', () => {
  it.each([
    ['GiB', GIB],
    ['TiB', 1024 * GIB],
  ])('the hottest that fits is hot, and the rest makes room for it, however hot: %s', (_, unit) => {
    const around: Around = {
      fast: [
        [3 * unit, 0.4],
        [unit, 0.8],
      ],
      slow: [
        [2 * unit, 0.8],
        [3 * unit, 0.4],
      ],
      capacityBytes: 4 * unit,
    };
    const { isCrowded, hotFrom, coldUpTo, exchange } = levels(around);
    expect(isCrowded).toBe(true);
    expect(hotFrom).toBeGreaterThan(4);
    expect(hotFrom).toBeLessThanOrEqual(8);
    expect(coldUpTo).toBe(hotFrom - 1);
    expect(exchange.bytes).toBe(2 * unit);
    expect(exchange.heatDifference).toBeCloseTo(0.4, 1);
  });

  it('equally hot memory does not trade places', () => {
    expect(levels({ fast: [[4, 0.5]], slow: [[4, 0.5]], capacityBytes: 4 }).exchange.bytes).toBe(0);
  });

  it('nor does memory whose difference may be chance', () => {
    const doubtful: Around = { fast: [[4, 0.4, 0.1]], slow: [[4, 0.5, 0.1]], capacityBytes: 4 };
    expect(levels(doubtful).exchange.bytes).toBe(0);
    expect(levels({ ...doubtful, slow: [[4, 0.7, 0.1]] }).exchange.bytes).toBe(4);
  });

  it('free memory and the kernel’s own look cold and make no room', () => {
    const around: Around = {
      fast: [
        [3, 0],
        [4, 0.5],
      ],
      slow: [[4, 0.9]],
      capacityBytes: 6,
      deadBytes: 3,
    };
    expect(levels(around).exchange.bytes).toBe(4);
    const hot: Around = {
      fast: [
        [3, 0],
        [4, 0.9],
      ],
      slow: [[4, 0.9]],
      capacityBytes: 6,
      deadBytes: 3,
    };
    expect(levels(hot).exchange.bytes).toBe(0);
  });

  it('free memory between hot pages looks warm, and neither waits nor competes: no more than can move', () => {
    const around: Around = {
      fast: [[4, 0.2]],
      slow: [[4, 0.8]],
      capacityBytes: 4,
    };
    expect(levels(around)).toMatchObject({ isCrowded: true, exchange: { bytes: 4 } });
    expect(levels({ ...around, movableBelowBytes: 1 })).toMatchObject({ isCrowded: true, exchange: { bytes: 1 } });
    expect(levels({ ...around, movableBelowBytes: 0 })).toMatchObject({ isCrowded: false });
  });

  it('what is touched all the time cannot be told apart: the border stays below it', () => {
    const saturated = levels({ fast: [[4, 1]], slow: [[4, 1]], capacityBytes: 4 });
    expect(saturated).toMatchObject({ isCrowded: true, exchange: { bytes: 0 } });
    expect(saturated.hotFrom).toBeLessThanOrEqual(SAMPLES);
  });

  it('the most rate of what makes room is the operator’s', () => {
    const policy = { ...DEFAULT_POLICY, demotion: { ...DEFAULT_POLICY.demotion, maxAccessRate: 0.2 } };
    expect(levels({ fast: [[4, 0.4]], slow: [[4, 0.9]], capacityBytes: 4 }, policy).coldUpTo).toBe(2);
  });

  it('only what is surely hotter than the border waits', () => {
    const around: Around = {
      fast: [[4, 0.1]],
      slow: [
        [2, 0.9],
        [3, 0.4, 0.35],
      ],
      capacityBytes: 4,
    };
    const slow = histogram(...around.slow);
    expect(surelyHotBytes(slow, levels(around))).toBe(2);
  });
});

describe('levels of any memory', () => {
  const memory = fc.array(
    fc.tuple(
      fc.integer({ min: 1, max: 1000 }),
      fc.double({ min: 0, max: 1, noNaN: true }),
      fc.constantFrom(0, 0.1, 0.3),
    ),
    { maxLength: 8 },
  );

  it('what makes room is colder than what it is made for, and something may always be hot', () => {
    fc.assert(
      fc.property(
        memory,
        memory,
        fc.integer({ min: 0, max: 4000 }),
        fc.double({ min: 0.01, max: 1, noNaN: true }),
        fc.double({ min: 0, max: 1, noNaN: true }),
        (fast, slow, capacityBytes, minAccessRate, maxAccessRate) => {
          const policy = {
            ...DEFAULT_POLICY,
            promotion: { ...DEFAULT_POLICY.promotion, minAccessRate },
            demotion: { ...DEFAULT_POLICY.demotion, maxAccessRate },
          };
          const { hotFrom, fillFrom, coldUpTo, exchange } = levels({ fast, slow, capacityBytes }, policy);
          expect(coldUpTo).toBeLessThan(hotFrom);
          expect(coldUpTo).toBeGreaterThanOrEqual(0);
          expect(fillFrom).toBeLessThanOrEqual(hotFrom);
          expect(fillFrom).toBeGreaterThanOrEqual(nrAccessesOf(minAccessRate, SAMPLES));
          expect(hotFrom).toBeLessThanOrEqual(SAMPLES);
          const all = (bytes: readonly Heated[]) => bytes.reduce((sum, [size]) => sum + size, 0);
          expect(exchange.bytes).toBeLessThanOrEqual(Math.min(all(fast), all(slow)));
          expect(exchange.heatDifference).toBeGreaterThanOrEqual(0);
        },
      ),
      { seed: 1 },
    );
  });
});

describe('a share in samples', () => {
  it('is the fewest that reach it, one at least, unharmed by rounding', () => {
    expect([0, 0.05, 0.1, 0.3, 0.31, 1].map((share) => nrAccessesOf(share, 10))).toEqual([1, 1, 1, 3, 4, 10]);
  });

  it('falls into the class that begins with it or below', () => {
    for (const share of [0, 0.1, 0.5, 0.999]) expect(shareOfClass(heatClass(share))).toBeLessThanOrEqual(share);
    expect(heatClass(-1)).toBe(0);
    expect(heatClass(2)).toBe(127);
  });
});
