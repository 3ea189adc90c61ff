import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { samplePages } from '../../../../numa/page-maps/page-sample.ts';

const spans = fc
  .array(fc.tuple(fc.nat(5000), fc.integer({ min: 1, max: 20_000 })), { minLength: 1, maxLength: 30 })
  .map((parts) => {
    let end = 0;
    return parts.map(([gap, length]) => {
      const start = end + gap;
      end = start + length;
      return { start, end };
    });
  });
const pagesOf = (list: readonly { readonly start: number; readonly end: number }[]) =>
  list.reduce((sum, { start, end }) => sum + end - start, 0);

describe('a sample of pages', () => {
  test('is everything when that is not too much', () => {
    const all = [{ start: 3, end: 10 }];
    expect(samplePages(all, 7)).toEqual({ spans: all, share: 1 });
    expect(samplePages([], 0)).toEqual({ spans: [], share: 1 });
  });

  test('takes one block of each stretch of the whole, across spans', () => {
    const whole = [
      { start: 0, end: 1200 },
      { start: 5000, end: 105_000 },
    ];
    const { spans: taken } = samplePages(whole, 20_000);
    const placeInWhole = (page: number) => (page < 1200 ? page : page - 3800);
    // A sixth: stretches of six blocks.
    const stretches = taken.map(({ start }) => Math.floor(placeInWhole(start) / (6 * 512)));
    expect([...new Set(stretches)]).toEqual(Array.from({ length: 33 }, (_, i) => i));
    expect(pagesOf(taken)).toBe(33 * 512);
  });

  test('is not misled by memory at regular distances', () => {
    // Used are the odd blocks; of the even ones nothing may be known.
    const { spans: taken, share } = samplePages([{ start: 0, end: 2 ** 21 }], 2 ** 20);
    const used = taken.filter(({ start }) => start % 1024 >= 512);
    expect(share).toBeCloseTo(0.5, 2);
    expect(pagesOf(used) / pagesOf(taken)).toBeCloseTo(0.5, 1);
  });

  test('lies in the spans, is as large as it says, and not larger than asked for by more than a block', () => {
    fc.assert(
      fc.property(spans, fc.integer({ min: 512, max: 100_000 }), (all, most) => {
        const sample = samplePages(all, most);
        expect(pagesOf(sample.spans)).toBeLessThanOrEqual(most + 512);
        expect(sample.share).toBeCloseTo(pagesOf(sample.spans) / pagesOf(all), 10);
        let before = 0;
        for (const { start, end } of sample.spans) {
          expect(start).toBeGreaterThanOrEqual(before);
          expect(end).toBeGreaterThan(start);
          expect(all.some((span) => span.start <= start && end <= span.end)).toBe(true);
          before = end;
        }
      }),
    );
  });
});
