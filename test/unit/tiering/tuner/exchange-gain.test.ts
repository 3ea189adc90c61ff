import { describe, expect, it } from 'vitest';
import type { ExchangeGain, ExchangeSeen } from '../../../../tiering/tuner/exchange-gain.ts';
import { exchangeLimit, NO_EXCHANGE_GAIN, watchExchangeGain } from '../../../../tiering/tuner/exchange-gain.ts';

const GIB = 1024 ** 3;

interface Course {
  readonly looks: number;
  /** The fast node's share of the heat at a look. */
  readonly shareAt: (look: number) => number;
  readonly promotedBytes?: number;
  readonly isByRate?: boolean;
  readonly heatBytes?: number;
  readonly fromMs?: number;
}

/** A look a second; moves nothing while on hold, as the tuner does. */
function watch(course: Course, before: ExchangeGain = NO_EXCHANGE_GAIN): ExchangeGain {
  const { looks, shareAt, promotedBytes = 0, isByRate = false, heatBytes = 10 * GIB, fromMs = 0 } = course;
  let gain = before;
  for (let look = 0; look < looks; look += 1) {
    const nowMs = fromMs + look * 1000;
    const share = shareAt(look);
    gain = watchExchangeGain(gain, {
      nowMs,
      fastHeat: share * heatBytes,
      slowHeat: (1 - share) * heatBytes,
      promotedBytes: nowMs < gain.holdUntilMs ? 0 : promotedBytes,
      heatDifference: 0.5,
      isByRate,
    });
  }
  return gain;
}

/** 0.1 GiB a look by half a sample hotter, of a heat of 10 GiB: the share should rise by half a percent a look. */
const busy = { promotedBytes: 0.1 * GIB };
const inVain = { ...busy, shareAt: () => 0.6 };

describe('exchanges', () => {
  it('that raise the share as they should go on for ever', () => {
    const gain = watch({ ...busy, looks: 80, shareAt: (look) => 0.4 + 0.005 * look });
    expect(gain).toMatchObject({ holdUntilMs: 0, holdMs: 0 });
  });

  it('that gain nothing are put on hold within seconds', () => {
    const gain = watch({ ...inVain, looks: 20 });
    expect(gain.holdMs).toBe(60_000);
    expect(gain.holdUntilMs).toBeGreaterThan(60_000);
    expect(gain.holdUntilMs).toBeLessThan(80_000);
  });

  it.each([
    ['1 GiB', 1],
    ['1 TiB', 1024],
  ])('are judged alike on a node of %s', (_, factor) => {
    const scaled = { ...inVain, looks: 20, promotedBytes: 0.1 * GIB * factor, heatBytes: 10 * GIB * factor };
    expect(watch(scaled)).toEqual(watch({ ...inVain, looks: 20 }));
  });

  it('that bring the share down are no better', () => {
    expect(watch({ ...busy, looks: 20, shareAt: (look) => 0.6 - 0.005 * look }).holdMs).toBe(60_000);
  });

  it('are held longer each time, up to half an hour', () => {
    const holds: number[] = [];
    let gain = NO_EXCHANGE_GAIN;
    for (let hold = 0; hold < 5; hold += 1) {
      gain = watch({ ...inVain, looks: 20, fromMs: gain.holdUntilMs }, gain);
      holds.push(gain.holdMs);
    }
    expect(holds).toEqual([60_000, 240_000, 960_000, 1_800_000, 1_800_000]);
  });

  it('that gain again after a hold are trusted again', () => {
    const held = watch({ ...inVain, looks: 20 });
    const better = { ...busy, looks: 40, fromMs: held.holdUntilMs, shareAt: (look: number) => 0.6 + 0.005 * look };
    expect(watch(better, held).holdMs).toBe(0);
  });

  it('by rate alone must gain more, and fail alone: single pages may still go', () => {
    const little = (look: number) => 0.4 + 0.0008 * look;
    const byRate = watch({ ...busy, looks: 40, shareAt: little, isByRate: true });
    expect(byRate).toMatchObject({ holdMs: 60_000, holdsRatesOnly: true });
    expect(watch({ ...busy, looks: 40, shareAt: little }).holdMs).toBe(0);
    expect(watch({ ...inVain, looks: 20 }).holdsRatesOnly).toBe(false);
  });
});

describe('without exchanges', () => {
  it('what the share does is the programs’ doing', () => {
    const gain = watch({ looks: 200, shareAt: (look) => (look % 20 < 10 ? 0.2 : 0.9) });
    expect(gain).toMatchObject({ holdUntilMs: 0, episode: undefined });
  });

  it('a look that saw no heat at all tells nothing', () => {
    const gain = watch({ ...busy, looks: 5, shareAt: () => 0.5 });
    const nothing: ExchangeSeen = {
      nowMs: 9000,
      fastHeat: 0,
      slowHeat: 0,
      promotedBytes: GIB,
      heatDifference: 0.5,
      isByRate: false,
    };
    expect(watchExchangeGain(gain, nothing)).toBe(gain);
  });
});

describe('the limit', () => {
  const seen = { fastHeat: 6 * GIB, slowHeat: 4 * GIB, heatDifference: 0.5 };

  it('is none before the first hold', () => {
    expect(exchangeLimit(NO_EXCHANGE_GAIN, seen)).toBe(Number.POSITIVE_INFINITY);
  });

  it('after a hold is what it takes to be judged, and nothing more while that is under way', () => {
    const held = watch({ ...inVain, looks: 20 });
    const limit = exchangeLimit(held, seen);
    // 1.5 % of the heat, by memory that is hotter by half a sample.
    expect(limit).toBeCloseTo(0.3 * GIB, -6);
    const trying = watch({ ...inVain, promotedBytes: limit, looks: 1, fromMs: held.holdUntilMs }, held);
    expect(exchangeLimit(trying, seen)).toBeCloseTo(0, -6);
  });
});
