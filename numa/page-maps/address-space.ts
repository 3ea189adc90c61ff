import type { Area, PageSpan } from './areas.ts';
import { changedSpans, firstEndingAfter } from './areas.ts';
import type { ExtentStore, Window } from './extent-store.ts';
import { ALL_BLOCKS, WINDOW_BLOCKS, WINDOW_PAGES } from './extent-store.ts';
import { BLOCK_PAGES } from './pagemap-runs.ts';

/** Areas from this size on (4 GiB) may be reservations with little in them: where nothing is known they are searched bit by bit. */
const GIANT_PAGES = 2 ** 20;
const AREA_BYTES = 80;

/** A window to read, and the blocks of it, as bits. */
export interface WindowTask {
  readonly number: number;
  readonly blocks: number;
}

/** What is known of one process's address space: its areas, and the windows that have been read. */
export class AddressSpace {
  readonly pid: number;
  readonly startTime: number;
  /** When all of it was last up to date. */
  readMs = Number.NEGATIVE_INFINITY;
  /** Something in it has moved since. */
  dirty = false;
  readonly #store: ExtentStore;
  readonly #windows = new Map<number, Window>();
  #areas: readonly Area[] = [];
  /** Where reading goes on after it ran out of time. */
  #resumeAt = 0;
  /** Where the search of giant areas goes on, and when it last came to their end. */
  #searchAt = 0;
  #searchedMs = Number.NEGATIVE_INFINITY;
  #changedInSearch = false;

  constructor(store: ExtentStore, pid: number, startTime: number) {
    this.#store = store;
    this.pid = pid;
    this.startTime = startTime;
  }

  /** Whether reading it has come to its end once. */
  get wasReadWhole(): boolean {
    return this.readMs > Number.NEGATIVE_INFINITY;
  }

  /** Memory held beside the store's. */
  get bytes(): number {
    return this.#areas.length * AREA_BYTES;
  }

  /** Pages known to be in memory. */
  get pages(): number {
    return this.#store.pagesOf(this.pid);
  }

  /** Pages that reading all windows again would scan at most. */
  get scannedPages(): number {
    return this.#windows.size * WINDOW_PAGES;
  }

  /** Takes the areas as they are now. What was known where they changed is void. */
  setAreas(areas: readonly Area[]): void {
    const changed = changedSpans(this.#areas, areas);
    this.#areas = areas;
    if (changed.length === 0) return;
    // A search on its way goes on, or frequent changes would let it never come to the end.
    if (this.#searchAt === 0) this.#searchedMs = Number.NEGATIVE_INFINITY;
    else this.#changedInSearch = true;
    for (const window of [...this.#windows.values()]) {
      const end = (window.number + 1) * WINDOW_PAGES;
      for (let i = firstEndingAfter(changed, window.number * WINDOW_PAGES); i < changed.length; i++) {
        const span = changed[i];
        if (span === undefined || span.startPage >= end) break;
        this.#voidIn(window, span);
      }
      if (this.spans(window).length === 0) this.close(window);
    }
  }

  /** These pages are elsewhere now. */
  moved(startPage: number, pages: number): void {
    const endPage = startPage + pages;
    for (let number = Math.floor(startPage / WINDOW_PAGES); number * WINDOW_PAGES < endPage; number++) {
      const window = this.#windows.get(number);
      if (window !== undefined) this.#voidIn(window, { startPage, endPage });
    }
    this.dirty = true;
  }

  /** Windows to read because they are older than `oldestMs`, dirty or new, from where the last reading ended. */
  staleTasks(oldestMs: number): readonly WindowTask[] {
    const tasks: WindowTask[] = [];
    for (const number of this.#windowNumbers()) {
      const window = this.#windows.get(number);
      const blocks = window === undefined || window.readMs < oldestMs ? ALL_BLOCKS : window.dirtyBlocks;
      if (blocks !== 0) tasks.push({ number, blocks });
    }
    const resume = tasks.findIndex(({ number }) => number >= this.#resumeAt);
    return resume <= 0 ? tasks : [...tasks.slice(resume), ...tasks.slice(0, resume)];
  }

  /** The next reading starts here. */
  resumeAt(number: number): void {
    this.#resumeAt = number;
  }

  /** True when no search of the giant areas has come to its end since `oldestMs`. */
  isSearchDue(oldestMs: number): boolean {
    return this.#searchedMs < oldestMs;
  }

  /** Unknown windows of giant areas, from where the last search stopped. */
  *searchTasks(): Generator<WindowTask> {
    for (const area of this.#areas) {
      if (!isGiant(area)) continue;
      const first = Math.max(Math.floor(area.startPage / WINDOW_PAGES), this.#searchAt);
      for (let number = first; number * WINDOW_PAGES < area.endPage; number++) {
        if (!this.#windows.has(number)) yield { number, blocks: ALL_BLOCKS };
      }
    }
  }

  /** Stretches of giant areas of which no window is known, from where the last search stopped. */
  *unknownSpans(): Generator<PageSpan> {
    const known = Float64Array.from(this.#windows.keys()).sort();
    let next = 0;
    for (const area of this.#areas) {
      if (!isGiant(area)) continue;
      let startPage = Math.max(area.startPage, this.#searchAt * WINDOW_PAGES);
      for (; next < known.length; next++) {
        const windowPage = (known[next] ?? 0) * WINDOW_PAGES;
        if (windowPage >= area.endPage) break;
        if (windowPage > startPage) yield { startPage, endPage: windowPage };
        startPage = Math.max(startPage, windowPage + WINDOW_PAGES);
      }
      if (startPage < area.endPage) yield { startPage, endPage: area.endPage };
    }
  }

  /** The search of giant areas goes on here. */
  searchFrom(number: number): void {
    this.#searchAt = number;
  }

  /** The search has come to the end of the giant areas. */
  searchEnded(nowMs: number): void {
    this.#searchAt = 0;
    this.#searchedMs = this.#changedInSearch ? Number.NEGATIVE_INFINITY : nowMs;
    this.#changedInSearch = false;
  }

  /** Parts of a window's areas that the blocks cover, in order. */
  spans({ number, blocks = ALL_BLOCKS }: { readonly number: number; readonly blocks?: number }): readonly PageSpan[] {
    const firstBlock = 31 - Math.clz32(blocks & -blocks);
    const start = number * WINDOW_PAGES + firstBlock * BLOCK_PAGES;
    const end = number * WINDOW_PAGES + (32 - Math.clz32(blocks)) * BLOCK_PAGES;
    const spans: PageSpan[] = [];
    for (let i = firstEndingAfter(this.#areas, start); i < this.#areas.length; i++) {
      const area = this.#areas[i];
      if (area === undefined || area.startPage >= end) break;
      spans.push({ startPage: Math.max(area.startPage, start), endPage: Math.min(area.endPage, end) });
    }
    return spans;
  }

  /** The tasks' blocks need not be read (again), unless something moves. */
  markClean(tasks: readonly WindowTask[]): void {
    for (const { number, blocks } of tasks) {
      const window = this.#windows.get(number);
      if (window !== undefined) window.dirtyBlocks &= ~blocks;
    }
  }

  /** The tasks' blocks must be read. */
  markDirty(tasks: readonly WindowTask[]): void {
    for (const { number, blocks } of tasks) {
      const window = this.#windows.get(number);
      if (window !== undefined) window.dirtyBlocks |= blocks;
    }
  }

  window(number: number): Window | undefined {
    return this.#windows.get(number);
  }

  /** The window, made if need be; undefined when the store has no room. */
  open(number: number): Window | undefined {
    const window = this.#windows.get(number) ?? this.#store.open(this.pid, number);
    if (window !== undefined) this.#windows.set(number, window);
    return window;
  }

  /** Forgets a window. */
  close(window: Window): void {
    if (!this.#windows.delete(window.number)) return;
    this.#store.close(window);
  }

  /** Forgets windows without a page in them where they would be found again by searching. */
  closeIfEmpty(window: Window): void {
    if (!this.#store.isEmpty(window)) return;
    const start = window.number * WINDOW_PAGES;
    for (let i = firstEndingAfter(this.#areas, start); i < this.#areas.length; i++) {
      const area = this.#areas[i];
      if (area === undefined || area.startPage >= start + WINDOW_PAGES) break;
      if (!isGiant(area)) return;
    }
    this.close(window);
  }

  /** Forgets windows read before `oldestMs`. */
  closeOlder(oldestMs: number): void {
    for (const window of [...this.#windows.values()]) if (window.readMs < oldestMs) this.close(window);
  }

  /** Forgets everything. */
  clear(): void {
    for (const window of [...this.#windows.values()]) this.close(window);
    this.#areas = [];
    this.readMs = Number.NEGATIVE_INFINITY;
    this.#searchAt = 0;
    this.#searchedMs = Number.NEGATIVE_INFINITY;
  }

  #voidIn(window: Window, { startPage, endPage }: PageSpan): void {
    const base = window.number * WINDOW_PAGES;
    const first = Math.max(0, Math.floor((startPage - base) / BLOCK_PAGES));
    const end = Math.min(WINDOW_BLOCKS, Math.ceil((endPage - base) / BLOCK_PAGES));
    for (let block = first; block < end; block++) {
      window.dirtyBlocks |= 1 << block;
      if (this.#store.void(window, block)) continue;
      this.close(window);
      return;
    }
  }

  /** Of all areas but giant ones, and of the windows known there: ascending, each once. */
  #windowNumbers(): Float64Array {
    const numbers = new Set(this.#windows.keys());
    for (const area of this.#areas) {
      if (isGiant(area)) continue;
      const end = Math.ceil(area.endPage / WINDOW_PAGES);
      for (let number = Math.floor(area.startPage / WINDOW_PAGES); number < end; number++) numbers.add(number);
    }
    return Float64Array.from(numbers).sort();
  }
}

function isGiant({ startPage, endPage }: PageSpan): boolean {
  return endPage - startPage >= GIANT_PAGES;
}
