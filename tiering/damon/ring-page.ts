import type { Region } from '../snapshot.ts';
import type { RegionEventLayout, TraceLayout } from './trace-format.ts';

/** Takes the regions of aggregations that a page holds, in the order in which they were written. */
export interface RegionSink {
  /** At least so many events were lost before what follows, which begins at this time. */
  lost(events: number, untilNs: number): void;
  region(
    timeNs: number,
    pid: number,
    nrRegions: number,
    start: number,
    end: number,
    nrAccesses: number,
    age: number,
  ): void;
}

/** A region that a scheme is about to act on (trace event damon:damos_before_apply), as it was before. */
export interface AppliedRegion extends Region {
  readonly pid: number;
  readonly schemeIndex: number;
  /** Trace clock (CLOCK_MONOTONIC), in milliseconds. */
  readonly tracedAtMs: number;
}

const WORD_BYTES = 4;
const HIGH = 2 ** 32;
const TYPE_MASK = 0x1f;
const TYPE_BITS = 5;
/** What an entry's own time has room for; the rest is a word of its own. */
const EXTEND = 2 ** 27;
const MISSED_EVENTS = 0x80000000;
const MISSED_STORED = 0x40000000;
const COMMIT_MASK = 0x07ffffff;
const ID_MASK = 0xffff;

/**
 * Reads one page as `trace_pipe_raw` gives it (Documentation/trace/ring-buffer-design.rst, kernel/trace/ring_buffer.c): its time, how much of it is used,
 * then entries of a header word (5 bits of type or length, 27 bits of time since the one before) and data. `words` is the page as the machine has it,
 * little endian; nothing is copied, and nothing made for a region, as there are thousands of them each aggregation.
 */
export function readRingPage(
  words: Uint32Array,
  bytes: number,
  layout: TraceLayout,
  regions: RegionSink,
  onApplied: (region: AppliedRegion) => void,
): void {
  const { page, entries, aggregated, applied } = layout;
  if (bytes < page.dataOffset) return;
  const pageNs = longAt(words, page.timestampOffset / WORD_BYTES);
  const commit = words[page.commitOffset / WORD_BYTES] ?? 0;
  const usedBytes = page.dataOffset + (commit & COMMIT_MASK);
  if (usedBytes > bytes) {
    // The page contradicts itself: nothing in it can be trusted.
    regions.lost(1, pageNs);
    return;
  }
  if ((commit & MISSED_EVENTS) !== 0) {
    // Counted behind the events, where there is room.
    const isCounted = (commit & MISSED_STORED) !== 0 && usedBytes + 2 * WORD_BYTES <= bytes;
    regions.lost(isCounted ? Math.max(1, longAt(words, usedBytes / WORD_BYTES)) : 1, pageNs);
  }
  // Apart from the page's time: their sum is beyond what a double holds exactly after 104 days.
  let baseNs = pageNs;
  let sinceNs = 0;
  const end = usedBytes / WORD_BYTES;
  for (let at = page.dataOffset / WORD_BYTES; at < end; ) {
    const head = words[at] ?? 0;
    const type = head & TYPE_MASK;
    const delta = head >>> TYPE_BITS;
    const next = words[at + 1] ?? 0;
    if (type === entries.timeExtend) {
      sinceNs += delta + next * EXTEND;
      at += 2;
      continue;
    }
    if (type === entries.timeStamp) {
      baseNs = delta + next * EXTEND;
      sinceNs = 0;
      at += 2;
      continue;
    }
    // Padding without a time fills the rest; with one it is an entry that was taken back.
    if (type === entries.padding && delta === 0) break;
    sinceNs += delta;
    const isLong = type === 0 || type === entries.padding;
    const data = isLong ? at + 2 : at + 1;
    at += isLong ? 1 + Math.ceil(next / WORD_BYTES) : 1 + type;
    if (at < data || at > end) {
      regions.lost(1, baseNs + sinceNs);
      return;
    }
    if (type === entries.padding) continue;
    const id = (words[data] ?? 0) & ID_MASK;
    if (id === aggregated.id) {
      if ((at - data) * WORD_BYTES >= aggregated.sizeBytes)
        aggregatedAt(words, data, baseNs + sinceNs, aggregated, regions);
    } else if (applied !== undefined && id === applied.id && (at - data) * WORD_BYTES >= applied.sizeBytes) {
      onApplied(appliedAt(words, data, baseNs + sinceNs, applied));
    }
  }
}

/** A physical context has one target; what has more is not ours. Physical addresses are exact in a double. */
function aggregatedAt(words: Uint32Array, at: number, timeNs: number, event: RegionEventLayout, regions: RegionSink) {
  if (longAt(words, at + event.target) !== 0) return;
  regions.region(
    timeNs,
    words[at + event.pid] ?? 0,
    words[at + event.nrRegions] ?? 0,
    longAt(words, at + event.start),
    longAt(words, at + event.end),
    words[at + event.nrAccesses] ?? 0,
    words[at + event.age] ?? 0,
  );
}

function appliedAt(words: Uint32Array, at: number, timeNs: number, event: RegionEventLayout): AppliedRegion {
  return {
    pid: words[at + event.pid] ?? 0,
    schemeIndex: event.scheme === undefined ? 0 : (words[at + event.scheme] ?? 0),
    tracedAtMs: timeNs / 1e6,
    start: longAt(words, at + event.start),
    end: longAt(words, at + event.end),
    nrAccesses: words[at + event.nrAccesses] ?? 0,
    age: words[at + event.age] ?? 0,
  };
}

function longAt(words: Uint32Array, at: number): number {
  return (words[at] ?? 0) + (words[at + 1] ?? 0) * HIGH;
}
