import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { KernelFormatError } from '../../../../numa/errors.ts';
import { parseNumaMaps } from '../../../../numa/page-maps/numa-maps.ts';
import { ADDRESS_UNIT_BYTES, hugePageBytes } from '../../../../numa/page-size.ts';
import { batchOutcome } from '../../../../tiering/jobs/batch-outcome.ts';
import { failureReason } from '../../../../tiering/jobs/failure-reason.ts';
import { Pace } from '../../../../tiering/jobs/pace.ts';
import type { PageBatch, PageRun } from '../../../../tiering/jobs/page-batches.ts';
import { fittingPages, pageBatches, runBytes, toRuns } from '../../../../tiering/jobs/page-batches.ts';
import { MIB } from './fake-machine.ts';

describe('/proc/PID/numa_maps', () => {
  test('is read as the kernel writes it', () => {
    const text = [
      '55c7c3874000 default file=/usr/bin/head\\040N1=7 mapped=2 N0=2 kernelpagesize_kB=4',
      '7f0000000000 prefer (many):0-1 anon=512 dirty=512 N0=500 N1=12 kernelpagesize_kB=4',
      '7f1000000000 bind:1 file=/anon_hugepage\\040(deleted) huge anon=2 dirty=2 N1=2 kernelpagesize_kB=2048',
      '7ffd00000000 default stack',
      '',
    ].join('\n');
    expect(parseNumaMaps(text, 4096, '/proc/1/numa_maps')).toEqual([
      { startPage: 0x55c7c3874, pageBytes: 4096, pagesByNode: new Map([[0, 2]]) },
      {
        startPage: 0x7f0000000,
        pageBytes: 4096,
        pagesByNode: new Map([
          [0, 500],
          [1, 12],
        ]),
      },
      { startPage: 0x7f1000000, pageBytes: 2 * MIB, pagesByNode: new Map([[1, 2]]) },
      { startPage: 0x7ffd00000, pageBytes: 4096, pagesByNode: new Map() },
    ]);
  });

  test('with a line of another kind is an error that names the file', () => {
    expect(() => parseNumaMaps('Name: x\n', 4096, '/proc/1/numa_maps')).toThrow(KernelFormatError);
    expect(() => parseNumaMaps('Name: x\n', 4096, '/proc/1/numa_maps')).toThrow('/proc/1/numa_maps');
  });
});

/** Kernels with pages of 4, 16 and 64 KiB. */
describe.each([4096, 16_384, 65_536])('batches of pages of %i bytes', (pageBytes) => {
  const units = pageBytes / ADDRESS_UNIT_BYTES;
  const sizes = { pageBytes, blockBytes: hugePageBytes(pageBytes) };
  const pagesABlock = sizes.blockBytes / pageBytes;
  const gib = { pageBytes: 1024 * MIB, blockBytes: 1024 * MIB };
  const runs = fc
    .array(fc.tuple(fc.integer({ min: 1, max: 2000 }), fc.integer({ min: 1, max: 6000 })), { maxLength: 6 })
    .map((parts) => {
      let page = 0;
      return parts.map(([gap, pages]) => {
        const startPage = page + gap * units;
        page = startPage + pages * units;
        return { startPage, endPage: page, ...sizes };
      });
    });
  const batchesOf = async (given: readonly PageRun[], maxPages = 4096) => {
    const batches: PageBatch[] = [];
    for await (const batch of pageBatches(given, maxPages)) batches.push(batch);
    return batches;
  };
  const pagesOf = async (given: readonly PageRun[]) => (await batchesOf(given)).flatMap(({ pages }) => [...pages]);

  test('have every page once, in order, within the limit, and no huge page of a run in two of them', async () => {
    await fc.assert(
      fc.asyncProperty(runs, fc.integer({ min: 512, max: 4096 }), async (given, maxPages) => {
        const batches = await batchesOf(given, maxPages);
        const expected = given.flatMap(({ startPage, endPage }) =>
          Array.from({ length: (endPage - startPage) / units }, (_, index) => startPage + index * units),
        );
        expect(batches.flatMap(({ pages }) => [...pages])).toEqual(expected);
        for (const [index, { pages }] of batches.entries()) {
          expect(pages.length).toBeLessThanOrEqual(Math.max(maxPages, pagesABlock));
          const [last, next] = [pages.at(-1), batches[index + 1]?.pages[0]];
          if (last !== undefined && next === last + units && given.every((run) => run.startPage !== next)) {
            expect((next * ADDRESS_UNIT_BYTES) % sizes.blockBytes).toBe(0);
          }
        }
      }),
      { numRuns: 50 },
    );
  });

  test('become runs and batches again without loss', async () => {
    await fc.assert(
      fc.asyncProperty(runs, async (given) => {
        const again = (await batchesOf(given)).flatMap(toRuns);
        expect(runBytes(again)).toBe(runBytes(given));
        expect(await pagesOf(again)).toEqual(await pagesOf(given));
      }),
      { numRuns: 50 },
    );
  });

  test('never mix sizes of pages', async () => {
    const gibPages = 2 ** 18;
    const mixed = [
      { startPage: 0, endPage: 10 * units, ...sizes },
      { startPage: gibPages, endPage: 3 * gibPages, ...gib },
      { startPage: 4 * gibPages, endPage: 4 * gibPages + units, ...sizes },
    ];
    const batches = await batchesOf(mixed);
    expect(batches.map(({ pages, pageBytes }) => [pages.length, pageBytes])).toEqual([
      [10, pageBytes],
      [2, 1024 * MIB],
      [1, pageBytes],
    ]);
    expect(batches[1]?.pages).toEqual(Float64Array.of(gibPages, 2 * gibPages));
  });

  test('are cut at the border of a huge page to fit', () => {
    const half = pagesABlock / 2;
    const pages = Float64Array.from({ length: 2 * pagesABlock }, (_, index) => (half + index) * units);
    const batch = { pages, ...sizes };
    const { blockBytes } = sizes;
    expect(fittingPages(batch, 2 * blockBytes, false)).toBe(2 * pagesABlock);
    expect(fittingPages(batch, 1.75 * blockBytes, false)).toBe(1.5 * pagesABlock);
    expect(fittingPages(batch, 0.5 * blockBytes, false)).toBe(half);
    expect(fittingPages(batch, 0.25 * blockBytes, false)).toBe(0);
    expect(fittingPages(batch, 0.25 * blockBytes, true)).toBe(half);
  });

  test('of pages larger than a step have one page when nothing forbids it', () => {
    const batch = { pages: Float64Array.of(0, 262_144), ...gib };
    expect(fittingPages(batch, 16 * MIB, true)).toBe(1);
    expect(fittingPages(batch, 16 * MIB, false)).toBe(0);
  });
});

describe('what became of a batch', () => {
  const sizes = { pageBytes: 4096, blockBytes: 2 * MIB };
  const batch = { pages: Float64Array.of(10, 11, 12, 13, 14), ...sizes };
  const nodes = { from: new Set([1]), to: 0 };

  test('is where its pages are, whatever the statuses said', () => {
    const outcome = batchOutcome(batch, Int32Array.of(0, -16, -16, 0, -13), Int32Array.of(0, 0, 1, 1, 1), nodes);
    expect(outcome).toEqual({
      movedPages: 2,
      gonePages: 0,
      stayed: { pages: Float64Array.of(12, 13, 14), ...sizes },
      stayedErrnos: ['EBUSY', 'EAGAIN', 'EACCES'],
    });
  });

  test('is gone when it is no longer there, or on a third node', () => {
    const outcome = batchOutcome(batch, new Int32Array(5), Int32Array.of(-2, -14, 2, 0, 0), nodes);
    expect(outcome).toMatchObject({ movedPages: 2, gonePages: 3, stayedErrnos: [] });
  });

  test('of a call that failed as a whole has its error', () => {
    const outcome = batchOutcome(batch, new Int32Array(5).fill(-12), Int32Array.of(0, 1, 1, 1, 1), nodes);
    expect(outcome.stayedErrnos).toEqual(['ENOMEM', 'ENOMEM', 'ENOMEM', 'ENOMEM']);
  });
});

test.each([
  ['EBUSY', 'busy'],
  ['EAGAIN', 'busy'],
  ['EACCES', 'shared with other processes'],
  ['ENOMEM', 'no room on node 3'],
  ['ENOENT', 'gone'],
  ['ESRCH', 'process exited'],
  ['EIO', 'refused by the kernel'],
])('%s is "%s" to an operator', (errno, reason) => {
  expect(failureReason(errno, 3)).toBe(reason);
});

describe('the pace', () => {
  test.each([
    [1, 2],
    [16, 4],
    [30, 6],
    [1024, 16],
  ])('of %i MiB/s takes steps of %i MiB', (mibPerSecond, stepMiB) => {
    expect(new Pace(mibPerSecond * MIB).batchBytes).toBe(stepMiB * MIB);
  });

  test('waits as long as the bytes that moved may take', () => {
    const pace = new Pace(10 * MIB);
    expect(pace.waitMs(5_000)).toBe(0);
    pace.moved(2 * MIB, 5_000);
    expect(pace.waitMs(5_050)).toBe(150);
    expect(pace.waitMs(5_300)).toBe(0);
  });

  test('counts all calls of a batch', () => {
    const pace = new Pace(10 * MIB);
    pace.moved(2 * MIB, 1_000);
    pace.moved(1 * MIB, 1_010);
    expect(pace.waitMs(1_010)).toBe(290);
  });

  test('makes up for a timer that was late', () => {
    const pace = new Pace(10 * MIB);
    pace.moved(2 * MIB, 0);
    pace.moved(2 * MIB, 260);
    expect(pace.waitMs(260)).toBe(140);
  });

  test('makes up for no more than a batch of lost time', () => {
    const pace = new Pace(10 * MIB);
    pace.moved(2 * MIB, 0);
    pace.moved(3 * MIB, 60_000);
    expect(pace.waitMs(60_000)).toBe(50);
  });
});
