import { describe, expect, test } from 'vitest';
import type { AppliedRegion } from '../../../tiering/damon/ring-page.ts';
import { readRingPage } from '../../../tiering/damon/ring-page.ts';
import type { TraceLayout } from '../../../tiering/damon/trace-format.ts';
import { RingPageWriter, recordedLayout } from '../../bench/trace-pages.ts';
import type { PrintedRegion, RecordedKernel, Recording } from './recorded-pages.ts';
import { printedEvents, recordedPages, wordsOf } from './recorded-pages.ts';

function decode(pages: readonly Uint8Array[], layout: TraceLayout) {
  const aggregated: PrintedRegion[] = [];
  const applied: AppliedRegion[] = [];
  const lost: number[] = [];
  const sink = {
    lost: (events: number) => lost.push(events),
    region: (
      timeNs: number,
      pid: number,
      nrRegions: number,
      start: number,
      end: number,
      nrAccesses: number,
      age: number,
    ) => aggregated.push({ pid, tracedAtMs: timeNs / 1e6, nrRegions, start, end, nrAccesses, age }),
  };
  for (const page of pages) readRingPage(wordsOf(page), page.length, layout, sink, (region) => applied.push(region));
  return { aggregated, applied, lost };
}

function decodeRecorded(kernel: RecordedKernel, recording: Recording) {
  const pages = [0, 1].flatMap((cpu) => recordedPages(kernel, recording, cpu));
  const { aggregated, applied, lost } = decode(pages, recordedLayout(kernel));
  const byTime = (a: { tracedAtMs: number }, b: { tracedAtMs: number }) => a.tracedAtMs - b.tracedAtMs;
  return { aggregated: aggregated.sort(byTime), applied: applied.sort(byTime), lost };
}

/** Without times: the two instances take them microseconds apart. */
function untimed<T extends { readonly tracedAtMs: number }>(events: readonly T[]) {
  return events.map(({ tracedAtMs: _, ...rest }) => rest);
}

describe.each(['6.12', '7.3'] as const)('pages of the ring buffer of Linux %s', (kernel) => {
  test.each(['whole', 'live'] as const)('hold what the kernel prints (%s)', (recording) => {
    const printed = printedEvents(kernel, recording);
    const found = decodeRecorded(kernel, recording);
    expect(printed.aggregated.length).toBeGreaterThan(200);
    expect(printed.applied.length).toBeGreaterThan(0);
    expect(found.lost).toEqual([]);
    expect(untimed(found.aggregated)).toEqual(untimed(printed.aggregated));
    expect(untimed(found.applied)).toEqual(untimed(printed.applied));
    for (const [index, { tracedAtMs }] of found.aggregated.entries()) {
      expect(Math.abs(tracedAtMs - (printed.aggregated[index]?.tracedAtMs ?? 0))).toBeLessThan(5);
    }
  });

  test('say exactly how many events were lost before them', () => {
    const printed = printedEvents(kernel, 'lost');
    const { aggregated, applied, lost } = decodeRecorded(kernel, 'lost');
    expect(lost.length).toBeGreaterThan(0);
    const total = lost.reduce((sum, events) => sum + events, 0);
    expect(total).toBe(printed.aggregated.length + printed.applied.length - aggregated.length - applied.length);
    expect(untimed(printed.aggregated)).toEqual(expect.arrayContaining(untimed(aggregated)));
  });
});

describe('a page of the ring buffer', () => {
  const layout = recordedLayout('7.3');
  const region = { start: 2 ** 45 + 4096, end: 2 ** 46, nrAccesses: 3, age: 4_000_000_000 };

  test('has exact addresses, and times that a word of 27 bits has no room for', () => {
    const pages = new RingPageWriter(layout)
      .region(5e15, 7, 2, region)
      .region(5e15 + 3e9, 7, 2, region)
      .take();
    const { aggregated } = decode(pages, layout);
    expect(aggregated).toEqual([
      { pid: 7, tracedAtMs: 5e9, nrRegions: 2, ...region },
      { pid: 7, tracedAtMs: 5e9 + 3e3, nrRegions: 2, ...region },
    ]);
  });

  test('is read by the places that the format names', () => {
    const { aggregated } = layout;
    const moved: TraceLayout = {
      ...layout,
      aggregated: {
        ...aggregated,
        id: 9999,
        sizeBytes: aggregated.sizeBytes + 8,
        start: aggregated.age,
        age: aggregated.age + 2,
      },
    };
    const pages = new RingPageWriter(moved).region(1e9, 7, 1, region).take();
    expect(decode(pages, moved).aggregated).toEqual([{ pid: 7, tracedAtMs: 1e3, nrRegions: 1, ...region }]);
    expect(decode(pages, layout).aggregated).toEqual([]);
  });

  test('that is cut short or contradicts itself is counted as lost, and never read past its end', () => {
    const [page = new Uint8Array()] = new RingPageWriter(layout).region(1e9, 7, 1, region).take();
    expect(decode([page.subarray(0, 8)], layout)).toEqual({ aggregated: [], applied: [], lost: [] });
    expect(decode([page.subarray(0, 32)], layout).lost).toEqual([1]);
    const noise = new Uint8Array(4096).map((_, index) => (index * 2654435761) >>> 13);
    for (let length = 1; length < 32; length += 1) {
      const broken = page.slice();
      // Of the type that says its length, which leads nowhere.
      broken.set([length << 5, 0, 0, 0, 0, 0, 0, 0], 16);
      expect(decode([broken, noise], layout).aggregated).toEqual([]);
    }
  });

  test('of another target than the one of a physical context is left out', () => {
    const [page = new Uint8Array()] = new RingPageWriter(layout).region(1e9, 7, 1, region).take();
    wordsOf(page)[layout.page.dataOffset / 4 + 1 + layout.aggregated.target] = 1;
    expect(decode([page], layout).aggregated).toEqual([]);
  });
});
