import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { AggregationAssembler } from '../../../tiering/damon/aggregation-assembler.ts';
import { readRingPage } from '../../../tiering/damon/ring-page.ts';
import { recordedLayout } from '../../bench/trace-pages.ts';
import type { RecordedKernel, Recording } from './recorded-pages.ts';
import { printedEvents, recordedPages, wordsOf } from './recorded-pages.ts';

const MS = 1e6;

/** Reads of one CPU: region `index` of `count`, of a kdamond, at a time in milliseconds. */
interface Read {
  readonly pid: number;
  readonly atMs: number;
  readonly index: number;
  readonly count: number;
}

/** The regions `from` to `to` of an aggregation of `count` that began at `atMs`, 1 us a region. */
function part(atMs: number, from: number, to: number, count: number, pid = 1): readonly Read[] {
  return Array.from({ length: to - from }, (_, at) => ({
    pid,
    atMs: atMs + (from + at) / 1000,
    index: from + at,
    count,
  }));
}

function read(assembler: AggregationAssembler, cpu: number, ...parts: (readonly Read[])[]): void {
  assembler.cpuBegins(cpu);
  for (const { pid, atMs, index, count } of parts.flat()) {
    assembler.region(atMs * MS, pid, count, index * 4096, (index + 1) * 4096, 1, 2);
  }
}

/** When the aggregations that a sweep gives began, by pid. */
function sweep(assembler: AggregationAssembler, whole = true) {
  return assembler.sweepEnds(whole).map(({ pid, tracedAtMs, regions }) => {
    expect(regions.map(({ start }) => start)).toEqual(regions.map((_, index) => index * 4096));
    return [pid, tracedAtMs, regions.length];
  });
}

function assembler(maxRegions = 1000): AggregationAssembler {
  return new AggregationAssembler(maxRegions);
}

describe('aggregations from the buffers of several CPUs', () => {
  test('that were written on one CPU are whole at once; only the newest of each kdamond is told, and when the one before was', () => {
    const all = assembler();
    read(all, 0, part(10, 0, 5, 5), part(20, 0, 6, 6), part(25, 0, 3, 3, 2), part(30, 0, 4, 4));
    const [other, newest] = all.sweepEnds(true);
    expect(other).toMatchObject({ pid: 2, tracedAtMs: 25, previousAtMs: undefined });
    expect(newest).toMatchObject({ pid: 1, tracedAtMs: 30, previousAtMs: 20 });
    expect(newest?.regions[3]).toEqual({ start: 3 * 4096, end: 4 * 4096, nrAccesses: 1, age: 2 });
    expect(sweep(all)).toEqual([]);
    expect(all.droppedAggregations).toBe(0);
  });

  test('of two kdamonds that take turns on a CPU are kept apart', () => {
    const all = assembler();
    read(all, 0, part(10, 0, 1, 2, 1), part(10, 0, 1, 2, 2), part(10, 1, 2, 2, 1), part(10, 1, 2, 2, 2));
    expect(sweep(all)).toEqual([
      [1, 10, 2],
      [2, 10, 2],
    ]);
  });

  test('whose kdamond moved in the middle are put together, whichever CPU is read first', () => {
    for (const [first, second] of [
      [0, 3],
      [3, 0],
    ] as const) {
      const all = assembler();
      read(all, first, part(10, 0, 3, 8), part(10, 6, 8, 8));
      read(all, second, part(10, 3, 6, 8));
      expect(sweep(all)).toEqual([[1, 10, 8]]);
    }
  });

  test('whose first part is read a sweep later than the rest are not lost', () => {
    const all = assembler();
    read(all, 0);
    read(all, 1, part(10, 3, 8, 8));
    expect(sweep(all)).toEqual([]);
    read(all, 0, part(10, 0, 3, 8));
    read(all, 1, part(20, 0, 4, 8));
    expect(sweep(all)).toEqual([[1, 10, 8]]);
    read(all, 1, part(20, 4, 8, 8));
    expect(sweep(all)).toEqual([[1, 20, 8]]);
    expect(all.droppedAggregations).toBe(0);
  });

  test('of two scans are not mixed, although the kdamond was elsewhere for the end of one and the begin of the next', () => {
    const all = assembler();
    read(all, 0, part(10, 0, 4, 8), part(20, 4, 8, 8));
    read(all, 1, part(10, 4, 8, 8), part(20, 0, 4, 8));
    const [newest] = all.sweepEnds(true);
    expect(newest).toMatchObject({ tracedAtMs: 20, previousAtMs: 10 });
  });

  test('with a hole are dropped and counted once nothing more of them can come, and the next whole one is taken', () => {
    const all = assembler();
    read(all, 0, part(10, 0, 2, 8));
    all.lost(123, 10.005 * MS);
    read(all, 0, part(10, 5, 8, 8));
    expect(sweep(all)).toEqual([]);
    read(all, 0, part(20, 0, 8, 8));
    expect(sweep(all)).toEqual([[1, 20, 8]]);
    expect(sweep(all)).toEqual([]);
    expect(all.lostEvents).toBe(123);
    expect(all.droppedAggregations).toBe(1);
  });

  test('of which one lost its end and the next its begin are not taken for one', () => {
    const all = assembler();
    read(all, 0, part(10, 0, 4, 8));
    all.lost(8, 20.004 * MS);
    for (const { atMs, index } of part(20, 4, 8, 8))
      all.region(atMs * MS, 1, 8, index * 4096, (index + 1) * 4096, 1, 2);
    expect(sweep(all)).toEqual([]);
    read(all, 1, part(30, 0, 8, 8));
    expect(sweep(all)).toEqual([[1, 30, 8]]);
    sweep(all);
    expect(all.droppedAggregations).toBe(2);
  });

  test('are waited for however long the kdamond pauses in the middle', () => {
    const all = assembler();
    read(all, 0, part(10, 0, 4, 8));
    for (let turn = 0; turn < 5; turn += 1) expect(sweep(all)).toEqual([]);
    read(all, 1, part(90, 4, 8, 8));
    expect(sweep(all)).toEqual([]);
    // Now nothing that lies in between can be still to come.
    expect(sweep(all)).toEqual([[1, 10, 8]]);
  });

  test('are waited for while buffers have more to read', () => {
    const all = assembler();
    read(all, 0, part(10, 0, 4, 8));
    for (let turn = 0; turn < 3; turn += 1) expect(sweep(all, false)).toEqual([]);
    read(all, 1, part(10, 4, 8, 8));
    expect(sweep(all)).toEqual([[1, 10, 8]]);
  });

  test('that are late do not hide newer ones', () => {
    const all = assembler();
    read(all, 1, part(20, 0, 4, 4));
    expect(sweep(all)).toEqual([[1, 20, 4]]);
    read(all, 0, part(10, 0, 4, 4));
    expect(sweep(all)).toEqual([]);
    read(all, 0, part(30, 0, 4, 4));
    expect(all.sweepEnds(true)).toMatchObject([{ tracedAtMs: 30, previousAtMs: 20 }]);
  });

  test('keep their memory bounded', () => {
    const all = assembler(8);
    read(all, 0, part(10, 0, 9, 9));
    for (let pid = 1; pid < 2000; pid += 1) read(all, 0, part(10, 0, 1, 1, pid));
    expect(all.sweepEnds(true).length).toBeLessThanOrEqual(256);
    all.keep([1]);
    // Begins without ends, and nobody says that all has been read.
    for (let turn = 0; turn < 10_000; turn += 1) read(all, 0, part(turn * 10, 0, 7, 8));
    expect(all.droppedAggregations).toBeGreaterThan(1000);
  });

  test('are right however often a kdamond moves, and however much it writes while the buffers are read', () => {
    // Twelve aggregations of five regions.
    const events = Array.from({ length: 12 }, (_, turn) => part(turn * 10, 0, 5, 5)).flat();
    fc.assert(
      fc.property(
        fc.array(fc.nat({ max: 3 }), { minLength: events.length, maxLength: events.length }),
        fc.array(fc.nat({ max: events.length }), { maxLength: 40 }),
        (cpuOf, writtenAtRead) => {
          const all = assembler();
          const unread = events.map((event, at) => ({ event, at, cpu: cpuOf[at] }));
          let told = Number.NEGATIVE_INFINITY;
          // Four CPUs in turns; how much had been written when each was read. At the end all is read.
          const reads = [...writtenAtRead.sort((a, b) => a - b), ...Array.from({ length: 8 }, () => events.length)];
          for (const [turn, written] of reads.slice(reads.length % 4).entries()) {
            const found = unread.filter(({ at, cpu }) => cpu === turn % 4 && at < written);
            for (const one of found) unread.splice(unread.indexOf(one), 1);
            read(
              all,
              turn % 4,
              found.map(({ event }) => event),
            );
            if (turn % 4 < 3) continue;
            for (const [, atMs = 0] of sweep(all)) {
              expect(atMs % 10).toBe(0);
              expect(atMs).toBeGreaterThan(told);
              told = atMs;
            }
          }
          expect(unread).toEqual([]);
          expect(told).toBe(110);
          expect(all.droppedAggregations).toBe(0);
        },
      ),
      { numRuns: 300 },
    );
  });
});

describe.each(['6.12', '7.3'] as const)('aggregations recorded on Linux %s', (kernel) => {
  test.each(['whole', 'live'] as const)('are those that the kernel prints (%s)', (recording) => {
    const { aggregated } = printedEvents(kernel, recording);
    const newest = aggregated.slice(-(aggregated.at(-1)?.nrRegions ?? 0));
    const { assembler: all, told } = readRecorded(kernel, recording);
    const last = told.at(-1);
    expect(last?.regions).toEqual(newest.map(({ start, end, nrAccesses, age }) => ({ start, end, nrAccesses, age })));
    expect(Math.abs((last?.tracedAtMs ?? 0) - (newest[0]?.tracedAtMs ?? 0))).toBeLessThan(5);
    expect(all.droppedAggregations).toBe(0);
    expect(all.lostEvents).toBe(0);
  });

  test('with losses are whole or dropped', () => {
    const { assembler: all, told } = readRecorded(kernel, 'lost');
    const { aggregated } = printedEvents(kernel, 'lost');
    for (const { regions } of told) {
      const first = aggregated.findIndex(({ start, age }) => start === regions[0]?.start && age === regions[0]?.age);
      const printed = aggregated.slice(first, first + regions.length);
      expect(regions).toEqual(printed.map(({ start, end, nrAccesses, age }) => ({ start, end, nrAccesses, age })));
    }
    expect(all.lostEvents).toBeGreaterThan(100);
  });
});

function readRecorded(kernel: RecordedKernel, recording: Recording) {
  const all = assembler();
  const layout = recordedLayout(kernel);
  for (const cpu of [0, 1]) {
    all.cpuBegins(cpu);
    for (const page of recordedPages(kernel, recording, cpu)) {
      readRingPage(wordsOf(page), page.length, layout, all, () => undefined);
    }
  }
  return { assembler: all, told: [...all.sweepEnds(true), ...all.sweepEnds(true), ...all.sweepEnds(true)] };
}
