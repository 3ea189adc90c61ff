import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { KernelFormatError } from '../../../../numa/errors.ts';
import { parseNumaMaps } from '../../../../numa/page-maps/numa-maps.ts';
import { batchOutcome } from '../../../../tiering/jobs/batch-outcome.ts';
import { failureReason } from '../../../../tiering/jobs/failure-reason.ts';
import { Pace } from '../../../../tiering/jobs/pace.ts';
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
    expect(parseNumaMaps(text, '/proc/1/numa_maps')).toEqual([
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
    expect(() => parseNumaMaps('Name: x\n', '/proc/1/numa_maps')).toThrow(KernelFormatError);
    expect(() => parseNumaMaps('Name: x\n', '/proc/1/numa_maps')).toThrow('/proc/1/numa_maps');
  });
});

describe('batches of pages', () => {
  const runs = fc
    .array(fc.tuple(fc.integer({ min: 1, max: 2000 }), fc.integer({ min: 1, max: 6000 })), { maxLength: 6 })
    .map((parts) => {
      let page = 0;
      return parts.map(([gap, pages]) => {
        const startPage = page + gap;
        page = startPage + pages;
        return { startPage, endPage: page, pageBytes: 4096 };
      });
    });

  test('have every page once, in order, within the limit, and no 2 MiB block of a run in two of them', () => {
    fc.assert(
      fc.property(runs, fc.integer({ min: 512, max: 4096 }), (given, maxPages) => {
        const batches = [...pageBatches(given, maxPages)];
        const expected = given.flatMap(({ startPage, endPage }) =>
          Array.from({ length: endPage - startPage }, (_, index) => startPage + index),
        );
        expect(batches.flatMap(({ pages }) => [...pages])).toEqual(expected);
        for (const [index, { pages }] of batches.entries()) {
          expect(pages.length).toBeLessThanOrEqual(maxPages);
          const [last, next] = [pages.at(-1), batches[index + 1]?.pages[0]];
          if (last !== undefined && next === last + 1 && given.every((run) => run.startPage !== next)) {
            expect(next % 512).toBe(0);
          }
        }
      }),
      { numRuns: 50 },
    );
  });

  test('become runs and batches again without loss', () => {
    fc.assert(
      fc.property(runs, (given) => {
        const again = [...pageBatches(given, 4096)].flatMap(toRuns);
        expect(runBytes(again)).toBe(runBytes(given));
        expect([...pageBatches(again, 4096)].flatMap(({ pages }) => [...pages])).toEqual(
          [...pageBatches(given, 4096)].flatMap(({ pages }) => [...pages]),
        );
      }),
      { numRuns: 50 },
    );
  });

  test('never mix sizes of pages', () => {
    const mixed = [
      { startPage: 0, endPage: 10, pageBytes: 4096 },
      { startPage: 512, endPage: 1536, pageBytes: 2 * MIB },
      { startPage: 2048, endPage: 2049, pageBytes: 4096 },
    ];
    const batches = [...pageBatches(mixed, 4096)];
    expect(batches.map(({ pages, pageBytes }) => [pages.length, pageBytes])).toEqual([
      [10, 4096],
      [2, 2 * MIB],
      [1, 4096],
    ]);
    expect(batches[1]?.pages).toEqual(Float64Array.of(512, 1024));
  });

  test('are cut at a border of 2 MiB to fit', () => {
    const pages = Float64Array.from({ length: 1024 }, (_, index) => 256 + index);
    expect(fittingPages({ pages, pageBytes: 4096 }, 4 * MIB, false)).toBe(1024);
    expect(fittingPages({ pages, pageBytes: 4096 }, 3.5 * MIB, false)).toBe(768);
    expect(fittingPages({ pages, pageBytes: 4096 }, 1 * MIB, false)).toBe(256);
    expect(fittingPages({ pages, pageBytes: 4096 }, 0.5 * MIB, false)).toBe(0);
  });

  test('of pages larger than a step have one page when nothing forbids it', () => {
    const batch = { pages: Float64Array.of(0, 262_144), pageBytes: 1024 * MIB };
    expect(fittingPages(batch, 16 * MIB, true)).toBe(1);
    expect(fittingPages(batch, 16 * MIB, false)).toBe(0);
  });
});

describe('what became of a batch', () => {
  const batch = { pages: Float64Array.of(10, 11, 12, 13, 14), pageBytes: 4096 };
  const nodes = { from: new Set([1]), to: 0 };

  test('is where its pages are, whatever the statuses said', () => {
    const outcome = batchOutcome(batch, Int32Array.of(0, -16, -16, 0, -13), Int32Array.of(0, 0, 1, 1, 1), nodes);
    expect(outcome).toEqual({
      movedPages: 2,
      gonePages: 0,
      stayed: { pages: Float64Array.of(12, 13, 14), pageBytes: 4096 },
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
