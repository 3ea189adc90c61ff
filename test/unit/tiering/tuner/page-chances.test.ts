import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { touchedAfterNone, touchedAgain } from '../../../../tiering/tuner/page-chances.ts';

describe('chances told by counts', () => {
  const counts = (touched: (windowMs: number) => number, firstMs: number, secondMs: number) => [
    { share: touched(firstMs), windowMs: firstMs },
    { share: touched(secondMs), windowMs: secondMs },
  ];

  it('are both the share touched where all pages are equally hot, however late the second pass came', () => {
    const chance = fc.double({ min: 0.01, max: 1, noNaN: true });
    fc.assert(
      fc.property(chance, fc.double({ min: 1.5, max: 3, noNaN: true }), (ratePerSecond, times) => {
        const touched = (ms: number) => 1 - Math.exp((-ratePerSecond * ms) / 1000);
        const seen = counts(touched, 4000, 4000 * times);
        expect(touchedAgain(seen)).toBeCloseTo(touched(4000), 6);
        expect(touchedAfterNone(seen)).toBeCloseTo(touched(4000), 6);
      }),
    );
  });

  it('are one and none where some pages are touched all the time and the others never', () => {
    const seen = counts(() => 0.2, 4000, 8000);
    expect(touchedAgain(seen)).toBeCloseTo(1, 6);
    expect(touchedAfterNone(seen)).toBeCloseTo(0, 6);
  });

  it('are taken for nothing to gain while not known', () => {
    expect([touchedAgain([]), touchedAfterNone([])]).toEqual([0, 1]);
  });
});
