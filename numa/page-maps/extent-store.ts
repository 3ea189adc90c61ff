import type { AddressRange } from '../topology.ts';
import type { OrderedBucket } from './frame-index.ts';
import {
  BUCKET_FRAMES,
  blockOf,
  FrameIndex,
  firstReaching,
  frameOf,
  GENERATIONS,
  generationOf,
  isHuge,
  MAX_SLOTS,
  OFFSET_BITS,
  offsetOf,
  pagesOf,
  slotOf,
} from './frame-index.ts';
import type { RunBuffer } from './pagemap-runs.ts';
import { BLOCK_PAGES } from './pagemap-runs.ts';

/** Virtual pages of a window, the unit in which address spaces are kept: 32 MiB where pages have 4 KiB. */
export const WINDOW_PAGES = 2 ** OFFSET_BITS;
/** Blocks of a window: each is read, compared and voided by itself. */
export const WINDOW_BLOCKS = WINDOW_PAGES / BLOCK_PAGES;
/** Every block of a window, as a set of bits. */
export const ALL_BLOCKS = 2 ** WINDOW_BLOCKS - 1;

/** Of the tables, a slot: 16 generations, hashes and counts, and the number of entries. */
const SLOT_TABLE_BYTES = WINDOW_BLOCKS * (2 + 4 + 2) + 4;
/** Of a window's object with its places in maps and lists. */
const WINDOW_BYTES = 200;

/** Virtual and physical pages that belong together, of one process. */
export interface PageRun {
  readonly pid: number;
  /** Virtual page number: address / page size. */
  readonly startPage: number;
  /** Page frame number: physical address / page size. */
  readonly startFrame: number;
  readonly pages: number;
  /** The pages are one huge page, which moves whole by naming the first. */
  readonly huge: boolean;
}

/** A window of a process's address space of which something is known. */
export interface Window {
  readonly pid: number;
  /** Virtual page number / WINDOW_PAGES. */
  readonly number: number;
  readonly slot: number;
  /** When it was last read whole; never at first. */
  readMs: number;
  /** Blocks that must be read again before they count, as bits. */
  dirtyBlocks: number;
}

/** What a block holds, in short: DecodedPages of its runs. */
export interface BlockContent {
  readonly pages: number;
  readonly hash: number;
}

/**
 * Which process uses which page frame, in bounded memory, found by frame. An extent takes 8 bytes and lies within 512 virtual
 * pages (a block); a window of 32 MiB of virtual memory takes 330. So a GiB of mapped memory takes
 *
 * - at best (512 huge pages, or as contiguous) 20 KiB,
 * - at worst (every page scattered) 2.1 MiB: 8 bytes a page; 2.6 MiB until it is put in order by the first search.
 */
export class ExtentStore {
  readonly #index: FrameIndex;
  #windows: (Window | undefined)[] = [];
  #generations = new Uint16Array(0);
  #hashes = new Uint32Array(0);
  #counts = new Uint16Array(0);
  /** Entries in the index, counting or not: a slot is free again when there are none left. */
  #entries = new Uint32Array(0);
  #freeSlots: number[] = [];
  #nextSlot = 0;
  #live = 0;
  /** Blocks and windows that were forgotten so far. */
  #voids = 0;
  readonly #pages = new Map<number, number>();

  constructor() {
    const generations = () => this.#generations;
    const voids = () => this.#voids;
    this.#index = new FrameIndex({
      get generations() {
        return generations();
      },
      get voids() {
        return voids();
      },
      onDropped: (slot) => this.#onDropped(slot),
    });
  }

  /** Memory held. */
  get bytes(): number {
    return (
      this.#index.bytes + this.#generations.length * (SLOT_TABLE_BYTES / WINDOW_BLOCKS) + this.#live * WINDOW_BYTES
    );
  }

  /** Pages known of a process. */
  pagesOf(pid: number): number {
    return this.#pages.get(pid) ?? 0;
  }

  /** Makes room for a window; undefined when there are as many as can be told apart (16 TiB of virtual memory). */
  open(pid: number, number: number): Window | undefined {
    const slot = this.#freeSlots.pop() ?? this.#nextSlot;
    if (slot >= MAX_SLOTS) return undefined;
    if (slot === this.#nextSlot) {
      this.#nextSlot++;
      this.#growTables(this.#nextSlot);
    }
    const window: Window = { pid, number, slot, readMs: Number.NEGATIVE_INFINITY, dirtyBlocks: 0 };
    this.#windows[slot] = window;
    const firstBlock = slot * WINDOW_BLOCKS;
    this.#generations.fill(0, firstBlock, firstBlock + WINDOW_BLOCKS);
    this.#hashes.fill(0, firstBlock, firstBlock + WINDOW_BLOCKS);
    this.#counts.fill(0, firstBlock, firstBlock + WINDOW_BLOCKS);
    this.#live++;
    return window;
  }

  /** Forgets a window and all in it. */
  close({ slot, pid }: Window): void {
    this.#addPages(pid, -this.#pagesIn(slot));
    this.#windows[slot] = undefined;
    this.#voids++;
    // No entry is of this generation.
    this.#generations.fill(GENERATIONS, slot * WINDOW_BLOCKS, (slot + 1) * WINDOW_BLOCKS);
    this.#live--;
    if (this.#entries[slot] === 0) this.#freeSlots.push(slot);
  }

  /** True when nothing is known to be in memory there. */
  isEmpty({ slot }: Window): boolean {
    return this.#pagesIn(slot) === 0;
  }

  /** True when the block holds just this already. */
  holds({ slot }: Window, block: number, found: BlockContent): boolean {
    const at = slot * WINDOW_BLOCKS + block;
    return this.#counts[at] === found.pages && this.#hashes[at] === found.hash;
  }

  /** Forgets what a block holds. False when its generations are used up: then the window must be closed. */
  void({ slot, pid }: Window, block: number): boolean {
    const at = slot * WINDOW_BLOCKS + block;
    const pages = this.#counts[at] ?? 0;
    if (pages === 0) return true;
    const generation = (this.#generations[at] ?? 0) + 1;
    if (generation === GENERATIONS) return false;
    this.#voids++;
    this.#generations[at] = generation;
    this.#counts[at] = 0;
    this.#hashes[at] = 0;
    this.#addPages(pid, -pages);
    return true;
  }

  /**
   * Puts runs (those from `first` to before `end`, empty ones left out) into a block that is void. Pages and hash are those of
   * decodeRuns.
   */
  fill(window: Window, block: number, runs: RunBuffer, first: number, end: number, found: BlockContent): void {
    const { slot, pid, number } = window;
    const at = slot * WINDOW_BLOCKS + block;
    const generation = this.#generations[at] ?? 0;
    // Counted before: making room in a bucket may throw away the last other entry of this slot.
    this.#entries[slot] = (this.#entries[slot] ?? 0) + end - first;
    let made = 0;
    for (let i = first; i < end; i++) {
      const pages = runs.pages[i] ?? 0;
      if (pages === 0) continue;
      const offset = (runs.startPage[i] ?? 0) - number * WINDOW_PAGES;
      made += this.#index.insert(runs.startFrame[i] ?? 0, pages, slot, offset, runs.huge[i] === 1, generation);
    }
    this.#entries[slot] = (this.#entries[slot] ?? 0) + made - (end - first);
    this.#counts[at] = found.pages;
    this.#hashes[at] = found.hash;
    this.#addPages(pid, found.pages);
  }

  /** Throws away what no longer counts, in small steps. */
  sweep(): Generator<void> {
    return this.#index.sweep();
  }

  /** Adds the pages that each process has in the ranges to `counts`, in small steps. Shared pages count for each. */
  *count(wanted: readonly AddressRange[], pageBytes: number, counts: Map<number, number>): Generator<void> {
    for (const range of wanted) {
      const first = Math.floor(range.start / pageBytes);
      const end = Math.ceil(range.end / pageBytes);
      for (let number = Math.floor(first / BUCKET_FRAMES); number * BUCKET_FRAMES < end; number++) {
        const bucket = this.#index.inOrder(number);
        if (bucket === undefined) continue;
        this.#countBucket(bucket, first - number * BUCKET_FRAMES, end - number * BUCKET_FRAMES, counts);
        yield;
      }
    }
  }

  /**
   * Runs in the ranges, in the ranges' order, each frame once, up to `maxPages`. A huge page comes when at least half of it
   * lies in a range, or the range in it; one that exceeds what is left of `maxPages` is passed over. What is voided between two
   * steps no longer comes. Undefined comes after each bucket (64 MiB) that holds nothing to give, so that who iterates can let others have the event loop.
   */
  *find(
    wanted: readonly AddressRange[],
    pageBytes: number,
    maxPages: number,
    pids: ReadonlySet<number> | undefined,
  ): Generator<PageRun | undefined> {
    let left = Math.floor(maxPages);
    if (left <= 0) return;
    const hugeFrames = new Set<number>();
    let pending: { pid: number; startPage: number; startFrame: number; pages: number; huge: boolean } | undefined;
    for (const range of wanted) {
      const end = Math.ceil(range.end / pageBytes);
      // Frames before this one are done.
      let done = Math.floor(range.start / pageBytes);
      const first = done;
      for (let number = Math.floor(first / BUCKET_FRAMES); number * BUCKET_FRAMES < end; number++) {
        const base = number * BUCKET_FRAMES;
        let bucket = this.#index.inOrder(number);
        if (bucket === undefined) continue;
        const leftBefore = left;
        let { words, length, version } = bucket;
        for (let i = firstReaching(bucket, done - base); i < length; i++) {
          const low = words[2 * i] ?? 0;
          const high = words[2 * i + 1] ?? 0;
          const frame = base + frameOf(high);
          if (frame >= end) break;
          const window = this.#liveWindow(low, high);
          if (window === undefined || (pids !== undefined && !pids.has(window.pid))) continue;
          const pages = pagesOf(high);
          const huge = isHuge(high);
          let from = Math.max(frame, done);
          let to = Math.min(frame + pages, end);
          if (huge) {
            const inRange = to - Math.max(frame, first);
            const chosen = 2 * inRange >= pages || (first >= frame && end <= frame + pages);
            if (!chosen || pages > left || done > Math.max(frame, first) || hugeFrames.has(frame)) continue;
            hugeFrames.add(frame);
            from = frame;
            to = frame + pages;
          } else {
            to = Math.min(to, from + left);
          }
          if (to <= from) continue;
          done = Math.max(done, to);
          left -= to - from;
          const startPage = window.number * WINDOW_PAGES + offsetOf(low) + (from - frame);
          if (
            pending !== undefined &&
            !huge &&
            !pending.huge &&
            pending.pid === window.pid &&
            pending.startPage + pending.pages === startPage &&
            pending.startFrame + pending.pages === from
          ) {
            pending.pages += to - from;
          } else {
            const ready = pending;
            pending = { pid: window.pid, startPage, startFrame: from, pages: to - from, huge };
            if (ready !== undefined) yield ready;
          }
          if (left === 0) {
            yield pending;
            return;
          }
          if (bucket.version === version) continue;
          // Put in order again meanwhile: go on behind what is done.
          bucket = this.#index.inOrder(number);
          if (bucket === undefined) break;
          ({ words, length, version } = bucket);
          i = firstReaching(bucket, done - base) - 1;
        }
        if (left === leftBefore) yield undefined;
      }
    }
    if (pending !== undefined) yield pending;
  }

  #countBucket(bucket: OrderedBucket, first: number, end: number, counts: Map<number, number>): void {
    const { words, length } = bucket;
    for (let i = firstReaching(bucket, first); i < length; i++) {
      const high = words[2 * i + 1] ?? 0;
      const frame = frameOf(high);
      if (frame >= end) return;
      const window = this.#liveWindow(words[2 * i] ?? 0, high);
      const pages = Math.min(frame + pagesOf(high), end) - Math.max(frame, first);
      if (window !== undefined && pages > 0) counts.set(window.pid, (counts.get(window.pid) ?? 0) + pages);
    }
  }

  #liveWindow(low: number, high: number): Window | undefined {
    return this.#generations[blockOf(low)] === generationOf(high) ? this.#windows[slotOf(low)] : undefined;
  }

  #onDropped(slot: number): void {
    const left = (this.#entries[slot] ?? 0) - 1;
    this.#entries[slot] = left;
    if (left === 0 && this.#windows[slot] === undefined) this.#freeSlots.push(slot);
  }

  #pagesIn(slot: number): number {
    let pages = 0;
    for (let at = slot * WINDOW_BLOCKS; at < (slot + 1) * WINDOW_BLOCKS; at++) pages += this.#counts[at] ?? 0;
    return pages;
  }

  #addPages(pid: number, pages: number): void {
    const sum = this.pagesOf(pid) + pages;
    if (sum === 0) this.#pages.delete(pid);
    else this.#pages.set(pid, sum);
  }

  #growTables(slots: number): void {
    if (slots * WINDOW_BLOCKS <= this.#generations.length) return;
    const blocks = Math.ceil(slots * 1.25 + 8) * WINDOW_BLOCKS;
    const tables = {
      generations: new Uint16Array(blocks),
      hashes: new Uint32Array(blocks),
      counts: new Uint16Array(blocks),
      entries: new Uint32Array(blocks / WINDOW_BLOCKS),
    };
    tables.generations.set(this.#generations);
    tables.hashes.set(this.#hashes);
    tables.counts.set(this.#counts);
    tables.entries.set(this.#entries);
    this.#generations = tables.generations;
    this.#hashes = tables.hashes;
    this.#counts = tables.counts;
    this.#entries = tables.entries;
  }
}
