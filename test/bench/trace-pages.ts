import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { AddressRange } from '../../numa/topology.ts';
import type { RegionEventLayout, TraceLayout } from '../../tiering/damon/trace-format.ts';
import { parseEntryTypes, parsePageLayout, parseRegionEvent } from '../../tiering/damon/trace-format.ts';
import type { Region } from '../../tiering/snapshot.ts';

const PAGE_BYTES = 4096;
const HIGH = 2 ** 32;
const EXTEND = 2 ** 27;
const MISSED_EVENTS = 0x80000000;
const MISSED_STORED = 0x40000000;
const WORD_BYTES = 4;

/** A node cut into `count` regions, of which `hotShare`, spread over it, are accessed all the time. */
export function syntheticRegions(
  range: AddressRange,
  count: number,
  hotShare: number,
  maxNrAccesses: number,
): Region[] {
  const step = Math.floor((range.end - range.start) / count / PAGE_BYTES) * PAGE_BYTES;
  return Array.from({ length: count }, (_, index) => {
    const start = range.start + index * step;
    const isHot = Math.floor((index + 1) * hotShare) > Math.floor(index * hotShare);
    return {
      start,
      end: index === count - 1 ? range.end : start + step,
      nrAccesses: isHot ? maxNrAccesses : 0,
      age: index % 997,
    };
  });
}

/** How a kernel that was recorded in a guest lays out its trace. */
export function recordedLayout(kernel: '6.12' | '7.3'): TraceLayout {
  const read = (name: string) => readFileSync(join(import.meta.dirname, `../fixtures/${kernel}-trace`, name), 'utf8');
  return {
    page: parsePageLayout(read('header_page')),
    entries: parseEntryTypes(read('header_event')),
    aggregated: parseRegionEvent(read('damon_aggregated.format'), 'damon_aggregated'),
    applied: parseRegionEvent(read('damos_before_apply.format'), 'damos_before_apply'),
  };
}

/** Writes the pages of one CPU's ring buffer as the kernel does (kernel/trace/ring_buffer.c). */
export class RingPageWriter {
  readonly #layout: TraceLayout;
  readonly #pages: Uint32Array[] = [];
  #at = 0;
  #pageNs = 0;
  #newestNs = 0;
  #lost = 0;

  constructor(layout: TraceLayout) {
    this.#layout = layout;
  }

  /** So many events were lost before the next one, which begins a page. */
  lost(events: number): this {
    this.#finish();
    this.#at = 0;
    this.#lost = events;
    return this;
  }

  region(timeNs: number, pid: number, nrRegions: number, region: Region): this {
    const { aggregated } = this.#layout;
    const data = this.#data(timeNs, aggregated, pid, region);
    data[aggregated.nrRegions] = nrRegions;
    return this;
  }

  applied(timeNs: number, pid: number, scheme: number, region: Region): this {
    const { applied } = this.#layout;
    if (applied?.scheme === undefined) throw new Error('damos_before_apply is not traced');
    this.#data(timeNs, applied, pid, region)[applied.scheme] = scheme;
    return this;
  }

  /** What was written since the last call; the last page may be used in part. */
  take(): readonly Uint8Array[] {
    this.#finish();
    this.#at = 0;
    return this.#pages.splice(0).map((page) => new Uint8Array(page.buffer));
  }

  /** Begins an event and gives its words. */
  #data(timeNs: number, event: RegionEventLayout, pid: number, { start, end, nrAccesses, age }: Region): Uint32Array {
    const words = Math.ceil(event.sizeBytes / WORD_BYTES);
    const at = this.#entry(timeNs, words);
    const data = (this.#pages.at(-1) ?? new Uint32Array()).subarray(at, at + words);
    data[0] = event.id;
    data[event.pid] = pid;
    putLong(data, event.start, start);
    putLong(data, event.end, end);
    data[event.nrAccesses] = nrAccesses;
    data[event.age] = age;
    return data;
  }

  /** Makes room for an event of so many words and gives where its data begins. */
  #entry(timeNs: number, words: number): number {
    const { page, entries } = this.#layout;
    const end = page.pageBytes / WORD_BYTES;
    // A time that is far off takes two words more.
    if (this.#at === 0 || this.#at + words + 3 > end) this.#begin(timeNs);
    const delta = timeNs - this.#newestNs;
    this.#newestNs = timeNs;
    const current = this.#pages.at(-1) ?? new Uint32Array();
    const isFar = delta >= EXTEND;
    if (isFar) {
      current[this.#at] = (((delta % EXTEND) << 5) | entries.timeExtend) >>> 0;
      current[this.#at + 1] = Math.floor(delta / EXTEND);
      this.#at += 2;
    }
    current[this.#at] = (((isFar ? 0 : delta) << 5) | words) >>> 0;
    this.#at += 1 + words;
    return this.#at - words;
  }

  #begin(timeNs: number): void {
    this.#finish();
    this.#pages.push(new Uint32Array(this.#layout.page.pageBytes / WORD_BYTES));
    this.#at = this.#layout.page.dataOffset / WORD_BYTES;
    this.#pageNs = timeNs;
    this.#newestNs = timeNs;
  }

  #finish(): void {
    const { page } = this.#layout;
    const words = this.#pages.at(-1);
    if (words === undefined || this.#at === 0) return;
    putLong(words, page.timestampOffset / WORD_BYTES, this.#pageNs);
    let commit = this.#at * WORD_BYTES - page.dataOffset;
    if (this.#lost > 0) {
      if ((this.#at + 2) * WORD_BYTES <= page.pageBytes) {
        putLong(words, this.#at, this.#lost);
        commit += MISSED_STORED;
      }
      commit += MISSED_EVENTS;
      this.#lost = 0;
    }
    words[page.commitOffset / WORD_BYTES] = commit;
  }
}

function putLong(words: Uint32Array, at: number, value: number): void {
  words[at] = value % HIGH;
  words[at + 1] = Math.floor(value / HIGH);
}

/** One aggregation as the kernel writes it on one CPU, a microsecond a region. */
export function aggregationPages(
  layout: TraceLayout,
  pid: number,
  timeNs: number,
  regions: readonly Region[],
): readonly Uint8Array[] {
  const writer = new RingPageWriter(layout);
  for (const [index, region] of regions.entries()) writer.region(timeNs + index * 1000, pid, regions.length, region);
  return writer.take();
}
