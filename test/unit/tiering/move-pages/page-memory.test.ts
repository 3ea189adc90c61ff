import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { PageMemory } from '../../../../tiering/move-pages/page-memory.ts';

const memory = (maxChunks = 1000) => new PageMemory({ spanMs: 10_000, maxChunks });

describe('a memory of pages', () => {
  test('knows the pages of a process that were added, and no others', () => {
    const pages = memory();
    pages.add(7, { startPage: 510, pages: 4 }, 0);
    expect([509, 510, 513, 514].map((page) => pages.has(7, page, 0))).toEqual([false, true, true, false]);
    expect(pages.has(8, 510, 0)).toBe(false);
  });

  test('takes the highest page numbers there are', () => {
    const highest = 2 ** 45 - 1;
    const pages = memory();
    pages.add(7, { startPage: highest, pages: 1 }, 0);
    expect(pages.has(7, highest, 0)).toBe(true);
    expect(pages.has(7, highest - 1, 0)).toBe(false);
  });

  test('remembers for the span at least, and a twentieth longer at most', () => {
    fc.assert(
      fc.property(fc.array(fc.integer({ min: 0, max: 2000 }), { maxLength: 100 }), (gaps) => {
        const pages = memory();
        let nowMs = 0;
        const addedAtMs: number[] = [];
        for (const [page, gap] of gaps.entries()) {
          nowMs += gap;
          pages.add(1, { startPage: page * 512, pages: 1 }, nowMs);
          addedAtMs.push(nowMs);
        }
        for (const [page, atMs] of addedAtMs.entries()) {
          const ageMs = nowMs - atMs;
          if (ageMs < 10_000) expect(pages.has(1, page * 512, nowMs)).toBe(true);
          if (ageMs > 10_500) expect(pages.has(1, page * 512, nowMs)).toBe(false);
        }
      }),
    );
  });

  test('can be asked for the newest part of the span', () => {
    const pages = memory();
    pages.add(1, { startPage: 1, pages: 1 }, 0);
    pages.add(1, { startPage: 2, pages: 1 }, 6000);
    expect(pages.has(1, 1, 6000, 3000)).toBe(false);
    expect(pages.has(1, 2, 6000, 3000)).toBe(true);
  });

  test('may remember for longer, or less long, from now on', () => {
    const pages = memory();
    pages.add(1, { startPage: 1, pages: 1 }, 0);
    pages.respan(30_000);
    pages.add(1, { startPage: 2, pages: 1 }, 20_000);
    expect(pages.has(1, 1, 20_000)).toBe(true);
    pages.respan(5_000);
    expect([pages.has(1, 1, 20_000), pages.has(1, 2, 20_000)]).toEqual([false, true]);
  });

  test('forgets the oldest when there are too many', () => {
    const pages = memory(100);
    for (let round = 0; round < 10; round += 1) {
      for (let chunk = 0; chunk < 30; chunk += 1) {
        pages.add(1, { startPage: (round * 30 + chunk) * 512, pages: 1 }, round * 600);
      }
    }
    expect(pages.chunks).toBeLessThanOrEqual(100);
    expect(pages.has(1, 0, 5400)).toBe(false);
    expect(pages.has(1, 299 * 512, 5400)).toBe(true);
  });

  test('is empty again once all is old', () => {
    const pages = memory();
    pages.add(1, { startPage: 1, pages: 1000 }, 0);
    expect(pages.isEmpty(5000)).toBe(false);
    expect(pages.isEmpty(30_000)).toBe(true);
  });
});
