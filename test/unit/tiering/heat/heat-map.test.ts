import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { bytesFrom, heatClass, shareOfClass } from '../../../../tiering/heat/heat-histogram.ts';
import { HeatMap } from '../../../../tiering/heat/heat-map.ts';
import type { NodeSnapshot, Region } from '../../../../tiering/snapshot.ts';
import { binomial, seededRandom } from '../random.ts';

const MIB = 1024 * 1024;
const GIB = 1024 * MIB;
const SAMPLES = 10;

function snapshot(regions: readonly Region[], samplingMs = 50): NodeSnapshot {
  return {
    nodeId: 0,
    takenAtMs: 0,
    maxNrAccesses: SAMPLES,
    aggregationIntervalMs: SAMPLES * samplingMs,
    regions,
  };
}

function region(startMiB: number, endMiB: number, nrAccesses: number): Region {
  return { start: startMiB * MIB, end: endMiB * MIB, nrAccesses, age: 0 };
}

function heatAfter(aggregations: readonly NodeSnapshot[], sizeMiB = 64) {
  const map = new HeatMap([{ start: 0, end: sizeMiB * MIB }]);
  for (const aggregation of aggregations) map.add(aggregation);
  return map.histogram();
}

const times = <T>(count: number, make: () => T) => Array.from({ length: count }, make);
const total = (bytes: readonly number[]) => bytesFrom(bytes, 0);
const meanShare = (bytes: readonly number[]) =>
  bytes.reduce((sum, size, heat) => sum + size * shareOfClass(heat), 0) / total(bytes);

describe('what one aggregation tells', () => {
  it('is in the class of its share, and leaves room for chance', () => {
    const { likely, atLeast, atMost } = heatAfter([snapshot([region(0, 64, 5)])]);
    expect(likely[heatClass(0.5)]).toBe(64 * MIB);
    expect(meanShare(atLeast)).toBeLessThan(0.2);
    expect(meanShare(atMost)).toBeGreaterThan(0.8);
  });

  it('is nothing of memory that was not watched', () => {
    const { likely, seenHeatBytes } = heatAfter([snapshot([region(0, 16, 10)])]);
    expect(total(likely)).toBe(16 * MIB);
    expect(seenHeatBytes).toBe(16 * MIB);
  });
});

describe('what many aggregations tell', () => {
  it.each([0.03, 0.1, 0.3, 0.6, 0.9])('comes close to the real rate of %d, within what is said to be sure', (rate) => {
    const random = seededRandom(5);
    const all = times(64, () => snapshot([region(0, 64, binomial(SAMPLES, rate, random))]));
    const { likely, atLeast, atMost } = heatAfter(all);
    expect(Math.abs(meanShare(likely) - rate)).toBeLessThan(0.1);
    expect(meanShare(atLeast)).toBeLessThanOrEqual(rate);
    expect(meanShare(atMost)).toBeGreaterThanOrEqual(rate - 1 / 128);
    expect(meanShare(atMost) - meanShare(atLeast)).toBeLessThan(0.25);
  });

  it('tells apart what one aggregation cannot', () => {
    const random = seededRandom(9);
    const draw = () =>
      snapshot([1, 4].map((tenths, i) => region(32 * i, 32 * (i + 1), binomial(SAMPLES, tenths / 10, random))));
    const sureHot = (aggregations: readonly NodeSnapshot[]) =>
      bytesFrom(heatAfter(aggregations).atLeast, heatClass(0.2));
    expect(sureHot([snapshot([region(0, 32, 1), region(32, 64, 4)])])).toBe(0);
    expect(sureHot(times(32, draw))).toBe(32 * MIB);
  });

  it('memory that got other users is known anew at once', () => {
    const idle = times(40, () => snapshot([region(0, 64, 0)]));
    const { likely } = heatAfter([...idle, snapshot([region(0, 32, 10), region(32, 64, 0)])]);
    expect(likely[heatClass(1)]).toBe(32 * MIB);
    expect(likely[0]).toBe(32 * MIB);
  });

  it('a single sample that meets an access makes nothing hot', () => {
    const idle = times(40, () => snapshot([region(0, 64, 0)]));
    expect(bytesFrom(heatAfter([...idle, snapshot([region(0, 64, 1)])]).likely, heatClass(0.1))).toBe(0);
  });

  it('is kept by place, whatever becomes of the regions', () => {
    const whole = times(8, () => snapshot([region(0, 32, 2), region(32, 64, 8)]));
    const split = times(8, () => snapshot(times(8, () => 0).map((_, i) => region(8 * i, 8 * (i + 1), i < 4 ? 2 : 8))));
    expect(heatAfter(split)).toEqual(heatAfter(whole));
  });
});

describe('samples of another length', () => {
  it('what was known is told in them: a page seen now and then is seen by most of the longer ones', () => {
    const short = times(32, () => snapshot([region(0, 64, 1)]));
    const { likely, samplingIntervalMs } = heatAfter([...short, snapshot([region(0, 64, 3)], 200)]);
    // 1 - 0.9^4 = 0.34.
    expect(meanShare(likely)).toBeGreaterThan(0.3);
    expect(meanShare(likely)).toBeLessThan(0.35);
    expect(samplingIntervalMs).toBe(200);
  });

  it('what had been seen by all of them does not stay the hottest for ever when they get shorter', () => {
    const long = times(32, () => snapshot([region(0, 64, 10)], 1000));
    const { likely } = heatAfter([...long, ...times(6, () => snapshot([region(0, 64, 2)], 50))]);
    expect(meanShare(likely)).toBeLessThan(0.3);
  });
});

describe('size', () => {
  it.each([
    ['1 GiB', GIB],
    ['32 GiB', 32 * GIB],
    ['1 TiB', 1024 * GIB],
    ['16 TiB', 16_384 * GIB],
  ])('every byte of a node of %s is somewhere, in ranges with a hole between them', (_, bytes) => {
    const ranges = [
      { start: 0, end: bytes / 2 },
      { start: bytes, end: 1.5 * bytes },
    ];
    const map = new HeatMap(ranges);
    map.add(snapshot(ranges.map((range, index) => ({ ...range, nrAccesses: 4 * index, age: 0 }))));
    const { likely, atLeast, atMost, seenHeatBytes } = map.histogram();
    for (const classes of [likely, atLeast, atMost]) expect(total(classes)).toBe(bytes);
    expect(bytesFrom(likely, heatClass(0.4))).toBe(bytes / 2);
    expect(seenHeatBytes).toBeCloseTo(0.4 * (bytes / 2), -3);
  });

  it('regions of any shape add up, and nothing is hotter at least than it is at most', () => {
    fc.assert(
      fc.property(
        fc.array(fc.tuple(fc.integer({ min: 1, max: 50 }), fc.integer({ min: 0, max: SAMPLES })), { maxLength: 20 }),
        fc.integer({ min: 1, max: 5 }),
        (sizes, aggregations) => {
          let at = 0;
          const regions = sizes.map(([pages, nrAccesses]) => {
            const start = at;
            at += pages * 4096 * 37;
            return { start, end: at, nrAccesses, age: 0 };
          });
          const { likely, atLeast, atMost } = heatAfter(
            times(aggregations, () => snapshot(regions)),
            1024,
          );
          expect([total(likely), total(atLeast), total(atMost)]).toEqual([at, at, at]);
          for (let heat = 0; heat < likely.length; heat += 1) {
            expect(bytesFrom(atLeast, heat)).toBeLessThanOrEqual(bytesFrom(likely, heat));
            expect(bytesFrom(likely, heat)).toBeLessThanOrEqual(bytesFrom(atMost, heat));
          }
        },
      ),
      { seed: 1 },
    );
  });
});
