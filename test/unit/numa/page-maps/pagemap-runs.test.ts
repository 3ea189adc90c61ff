import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { decodeRuns, RunBuffer } from '../../../../numa/page-maps/pagemap-runs.ts';
import { pagemapWords } from './pagemap-words.ts';

function decode(frames: readonly (number | undefined)[], startPage = 1000) {
  const runs = new RunBuffer();
  const decoded = decodeRuns(pagemapWords(frames), 0, frames.length, startPage, runs);
  const list = Array.from({ length: runs.length }, (_, i) => [runs.startPage[i], runs.startFrame[i], runs.pages[i]]);
  return { ...decoded, runs: list };
}

describe('runs of a pagemap', () => {
  test('are virtually and physically contiguous', () => {
    expect(decode([5, 6, 7, 9, undefined, 10, 11, 4]).runs).toEqual([
      [1000, 5, 3],
      [1003, 9, 1],
      [1005, 10, 2],
      [1007, 4, 1],
    ]);
  });

  test('keep all 40 bits of a frame number', () => {
    expect(decode([2 ** 40 - 2, 2 ** 40 - 1]).runs).toEqual([[1000, 2 ** 40 - 2, 2]]);
  });

  test('are cut where the frame number passes a multiple of 2^32', () => {
    expect(decode([2 ** 32 - 1, 2 ** 32]).runs).toEqual([
      [1000, 2 ** 32 - 1, 1],
      [1001, 2 ** 32, 1],
    ]);
  });

  test('hold the zero page once, however often it is mapped', () => {
    expect(decode([77, 77, 77, 78, 12, 12])).toMatchObject({
      pages: 3,
      runs: [
        [1000, 77, 1],
        [1003, 78, 1],
        [1004, 12, 1],
      ],
    });
  });

  test('leave out swapped pages, whose bits 0-54 are no frame', () => {
    const words = Uint32Array.of(0x1234, 0x4000_0000, 9, 0x8000_0000);
    const runs = new RunBuffer();
    expect(decodeRuns(words, 0, 2, 50, runs)).toMatchObject({ pages: 1, hiddenPages: 0 });
    expect([runs.length, runs.startPage[0], runs.startFrame[0]]).toEqual([1, 51, 9]);
  });

  test('leave out hidden frames, and count them', () => {
    expect(decode([0, 0, undefined, 0])).toMatchObject({ pages: 0, hiddenPages: 3, runs: [] });
  });

  test('hold every page with its frame, from any entry on', () => {
    const frames = fc.array(fc.option(fc.integer({ min: 1, max: 20 }), { nil: undefined }), { maxLength: 60 });
    fc.assert(
      fc.property(frames, fc.nat(5), (list, skipped) => {
        const first = Math.min(skipped, list.length);
        const runs = new RunBuffer();
        const { pages } = decodeRuns(pagemapWords(list), first, list.length - first, first, runs);
        const found = new Map<number, number>();
        for (let i = 0; i < runs.length; i++) {
          for (let page = 0; page < (runs.pages[i] ?? 0); page++) {
            found.set((runs.startPage[i] ?? 0) + page, (runs.startFrame[i] ?? 0) + page);
          }
        }
        const expected = list.flatMap((frame, page) =>
          page < first || frame === undefined || (page > first && list[page - 1] === frame) ? [] : [[page, frame]],
        );
        expect([...found]).toEqual(expected);
        expect(pages).toBe(expected.length);
      }),
    );
  });

  test('have the same hash when nothing changed, another one when something did', () => {
    const frames = fc.array(fc.integer({ min: 1, max: 2 ** 33 }), { minLength: 1, maxLength: 40 });
    fc.assert(
      fc.property(frames, fc.nat(39), (list, at) => {
        const other = list.with(at % list.length, (list[at % list.length] ?? 0) + 2 ** 20);
        expect(decode(list).hash).toBe(decode(list).hash);
        expect(decode(other).hash).not.toBe(decode(list).hash);
      }),
    );
  });

  test('grow their buffer as needed', () => {
    const frames = Array.from({ length: 3000 }, (_, i) => 2 * i + 1);
    const { runs } = decode(frames);
    expect(runs).toHaveLength(3000);
    expect(runs.at(-1)).toEqual([3999, 5999, 1]);
  });
});
