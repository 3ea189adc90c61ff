import { hugePageBytes } from '../page-size.ts';
import type { SysFs } from '../sysfs.ts';
import { parseInSlices } from '../text-slices.ts';
import type { AddressSpace, WindowTask } from './address-space.ts';
import type { Area, PageSpan } from './areas.ts';
import { parseAreas } from './areas.ts';
import { PageMapsUnavailableError } from './errors.ts';
import type { ExtentStore } from './extent-store.ts';
import { ALL_BLOCKS, WINDOW_BLOCKS, WINDOW_PAGES } from './extent-store.ts';
import { HugePages } from './huge-pages.ts';
import { PageFile, READ_PAGES, READS_AHEAD } from './page-files.ts';
import { BLOCK_PAGES, decodeRuns, RunBuffer } from './pagemap-runs.ts';
import { userProcess } from './processes.ts';
import { ResidentPages } from './resident-pages.ts';

/** How reading a process ended. `stopped`: the caller said so; `gone`: it ended, or runs another program now. */
export type ReadEnd = 'done' | 'stopped' | 'gone';

export interface ReadOptions {
  readonly nowMs: number;
  readonly maxAgeMs: number;
  /** Asked before what was read is looked at, with what is still being read; false ends the reading. */
  mayGoOn(underWay: Promise<unknown>): Promise<boolean>;
}

/** Windows that share a read of pagemap. */
const WINDOWS_A_READ = READ_PAGES / WINDOW_PAGES;
/**
 * What the search for pages in giant areas reads in vain at most, a process and refresh, where the kernel cannot step over what is empty: 32 GiB of address
 * space in 64 MiB of entries.
 */
const SEARCHED_PAGES = 2 ** 23;
/** And when no page is missing. */
const IDLE_SEARCHED_PAGES = SEARCHED_PAGES / 16;
/** A search that has come to its end with nothing missing starts again after this many times the greatest age. */
const SEARCH_AGES = 8;
/** Share of a process's resident pages that is known when nothing is missing; counts of resident pages are not exact. */
const KNOWN_SHARE = 0.95;

interface SpannedTask extends WindowTask {
  /** Parts of areas to read. */
  readonly spans: readonly PageSpan[];
}

interface TaskProgress {
  /** Pages read without finding anything new after which to leave it at that. */
  readonly mostInVain: number;
  /** All before this window has been read. */
  onRead(nextWindow: number): void;
  /** All has been read. */
  onEnd(): void;
}

/** A read on its way. */
interface Reading {
  readonly group: readonly SpannedTask[];
  readonly startPage: number;
  /** In pages. */
  readonly size: number;
  readonly read: Promise<{ readonly words: Uint32Array; readonly pages: number }>;
}

interface FoundBlock {
  /** Of its window. */
  readonly number: number;
  readonly block: number;
  readonly firstRun: number;
  readonly endRun: number;
  readonly pages: number;
  readonly hash: number;
}

/** Reads /proc/PID/maps and /proc/PID/pagemap into an address space. One process at a time: buffers are used again. */
export class ProcessReader {
  readonly #sysfs: SysFs;
  readonly #store: ExtentStore;
  readonly #pageBytes: number;
  readonly #resident: ResidentPages;
  readonly #runs = new RunBuffer();
  #hugePages: HugePages | undefined;
  /** Pages scanned since the reader was made. */
  pagesScanned = 0;

  constructor(sysfs: SysFs, store: ExtentStore, pageBytes: number) {
    this.#sysfs = sysfs;
    this.#store = store;
    this.#pageBytes = pageBytes;
    this.#resident = new ResidentPages({ root: sysfs.root, pageBytes });
  }

  /**
   * Brings the address space up to date: areas that are new, changed, dirty or older than `maxAgeMs`. Throws SysFsError (also
   * when the process exits meanwhile) and PageMapsUnavailableError.
   */
  async read(space: AddressSpace, residentPages: number, options: ReadOptions): Promise<ReadEnd> {
    const path = `/proc/${space.pid}/maps`;
    // Opened first: after exec it reads nothing, so that old areas and new pages never mix.
    const pagemap = await PageFile.open(this.#sysfs.root, `/proc/${space.pid}/pagemap`);
    try {
      const areas = await this.#readAreas(path);
      if (userProcess(this.#sysfs, space.pid)?.startTime !== space.startTime) return 'gone';
      space.setAreas(areas);
      // What moves from here on makes it dirty again.
      space.dirty = false;
      const end = await this.#readAll(pagemap, space, residentPages, options);
      if (end === 'done') space.readMs = options.nowMs;
      else space.dirty = true;
      return end;
    } finally {
      await pagemap.close();
    }
  }

  async close(): Promise<void> {
    await this.#hugePages?.close();
    this.#hugePages = undefined;
  }

  async #readAreas(path: string): Promise<readonly Area[]> {
    const text = await this.#sysfs.read(path);
    return parseInSlices(text, (lines) => parseAreas(lines, this.#pageBytes, path));
  }

  async #readAll(
    pagemap: PageFile,
    space: AddressSpace,
    residentPages: number,
    options: ReadOptions,
  ): Promise<ReadEnd> {
    const { nowMs, maxAgeMs } = options;
    const end = await this.#readTasks(pagemap, space, space.staleTasks(nowMs - maxAgeMs), options, {
      mostInVain: Number.POSITIVE_INFINITY,
      onRead: (next) => space.resumeAt(next),
      onEnd: () => space.resumeAt(0),
    });
    if (end !== 'done') return end;
    const complete = space.pages >= residentPages * KNOWN_SHARE;
    if (!space.isSearchDue(nowMs - maxAgeMs * (complete ? SEARCH_AGES : 1))) return 'done';
    if (await this.#resident.canScan(pagemap)) return this.#scanUnknown(pagemap, space, options);
    return this.#readTasks(pagemap, space, space.searchTasks(), options, {
      mostInVain: complete ? IDLE_SEARCHED_PAGES : SEARCHED_PAGES,
      onRead: (next) => space.searchFrom(next),
      onEnd: () => space.searchEnded(nowMs),
    });
  }

  /** Reads those unknown windows of giant areas in which something is, as the kernel tells. */
  async #scanUnknown(pagemap: PageFile, space: AddressSpace, options: ReadOptions): Promise<ReadEnd> {
    for (const span of space.unknownSpans()) {
      for await (const { spans, nextPage } of this.#resident.find(pagemap, span)) {
        if (!(await options.mayGoOn(Promise.resolve()))) return 'stopped';
        const tasks = windowsOf(spans)
          .filter((number) => space.window(number) === undefined)
          .map((number) => ({ number, blocks: ALL_BLOCKS }));
        const end = await this.#readTasks(pagemap, space, tasks, options, {
          mostInVain: Number.POSITIVE_INFINITY,
          onRead: (next) => space.searchFrom(next),
          onEnd: () => space.searchFrom(Math.floor(nextPage / WINDOW_PAGES)),
        });
        if (end !== 'done') return end;
      }
    }
    space.searchEnded(options.nowMs);
    return 'done';
  }

  async #readTasks(
    pagemap: PageFile,
    space: AddressSpace,
    tasks: Iterable<WindowTask>,
    options: ReadOptions,
    { mostInVain, onRead, onEnd }: TaskProgress,
  ): Promise<ReadEnd> {
    const groups = groupsOf(tasks);
    let inVain = 0;
    // On their way, oldest first: they go on while one is decoded.
    const readings: Reading[] = [];
    const readAhead = () => {
      while (readings.length < READS_AHEAD) {
        const next = this.#startRead(pagemap, space, groups);
        if (next === undefined) return;
        readings.push(next);
      }
    };
    readAhead();
    try {
      for (let current = readings[0]; current !== undefined; current = readings[0]) {
        const underWay = Promise.allSettled(readings.map(({ read }) => read));
        if (!(await options.mayGoOn(underWay))) return 'stopped';
        const { words, pages } = await current.read;
        const known = space.pages;
        readings.shift();
        readAhead();
        if (current.size > 0 && pages === 0) return 'gone';
        this.pagesScanned += pages;
        const found = this.#decode(words, current.startPage, current.startPage + pages, space, current.group);
        if (found.hiddenPages > 0 && found.pages === 0) {
          const path = `/proc/${space.pid}/pagemap`;
          throw new PageMapsUnavailableError('CAP_SYS_ADMIN', path, 'every page frame reads as 0');
        }
        if (!(await this.#keep(space, found.changed))) {
          space.markDirty(current.group);
          return 'stopped';
        }
        for (const task of current.group) this.#settle(space, task, options.nowMs);
        onRead((current.group.at(-1)?.number ?? 0) + 1);
        if (space.pages === known) inVain += pages;
        if (inVain > mostInVain && readings.length > 0) return 'done';
      }
      onEnd();
      return 'done';
    } finally {
      for (const { group } of readings) space.markDirty(group);
    }
  }

  /** Starts to read the next windows, as many together as one read covers; undefined when there are no more. */
  #startRead(
    pagemap: PageFile,
    space: AddressSpace,
    groups: Iterator<readonly WindowTask[], void>,
  ): Reading | undefined {
    const next = groups.next();
    if (next.done === true) return undefined;
    const group = next.value.map((task) => ({ ...task, spans: space.spans(task) }));
    const startPage = group.find(({ spans }) => spans.length > 0)?.spans.at(0)?.startPage ?? 0;
    const size = (group.findLast(({ spans }) => spans.length > 0)?.spans.at(-1)?.endPage ?? 0) - startPage;
    // What is moved from here on is dirty again.
    space.markClean(group);
    const read = size === 0 ? Promise.resolve({ words: new Uint32Array(0), pages: 0 }) : pagemap.read(startPage, size);
    // Nobody may be waiting for it any more when it fails.
    read.catch(() => undefined);
    return { group, startPage, size, read };
  }

  /** Decodes what was read of the group into runs, block by block. Blocks that hold just this already are left out. */
  #decode(
    words: Uint32Array,
    startPage: number,
    endPage: number,
    space: AddressSpace,
    group: readonly SpannedTask[],
  ): { readonly changed: readonly FoundBlock[]; readonly pages: number; readonly hiddenPages: number } {
    const runs = this.#runs;
    runs.clear();
    const changed: FoundBlock[] = [];
    let allPages = 0;
    let hiddenPages = 0;
    for (const task of group) {
      const window = space.window(task.number);
      let at = 0;
      for (let block = 0; block < WINDOW_BLOCKS; block++) {
        if ((task.blocks & (1 << block)) === 0) continue;
        const start = task.number * WINDOW_PAGES + block * BLOCK_PAGES;
        const end = start + BLOCK_PAGES;
        const firstRun = runs.length;
        let pages = 0;
        let hash = 0;
        for (let area = task.spans[at]; area !== undefined && area.startPage < end; area = task.spans[++at]) {
          const from = Math.max(area.startPage, start);
          const count = Math.min(area.endPage, end, endPage) - from;
          if (count > 0) {
            const decoded = decodeRuns(words, from - startPage, count, from, runs, hash);
            pages += decoded.pages;
            hiddenPages += decoded.hiddenPages;
            hash = decoded.hash;
          }
          if (area.endPage > end) break;
        }
        allPages += pages;
        const same = window === undefined ? pages === 0 : this.#store.holds(window, block, { pages, hash });
        if (same) runs.length = firstRun;
        else changed.push({ number: task.number, block, firstRun, endRun: runs.length, pages, hash });
      }
    }
    return { changed, pages: allPages, hiddenPages };
  }

  /** Puts the blocks into the store; false when it has no room. */
  async #keep(space: AddressSpace, changed: readonly FoundBlock[]): Promise<boolean> {
    if (changed.length > 0 && hugePageBytes(this.#pageBytes) === BLOCK_PAGES * this.#pageBytes) {
      this.#hugePages ??= await HugePages.open(this.#sysfs.root);
      this.#hugePages.mark(this.#runs);
    }
    for (const found of changed) {
      const window = space.open(found.number);
      if (window === undefined) return false;
      // Moved while we read it.
      if ((window.dirtyBlocks & (1 << found.block)) !== 0) continue;
      if (this.#store.void(window, found.block)) {
        this.#store.fill(window, found.block, this.#runs, found.firstRun, found.endRun, found);
      } else {
        space.close(window);
      }
    }
    return true;
  }

  /** A window has been read. */
  #settle(space: AddressSpace, task: WindowTask, nowMs: number): void {
    const window = space.open(task.number);
    if (window === undefined) return;
    if (task.blocks === ALL_BLOCKS) window.readMs = nowMs;
    space.closeIfEmpty(window);
  }
}

/** Numbers of the windows that hold a part of the spans, ascending, each once. */
function windowsOf(spans: readonly PageSpan[]): readonly number[] {
  const numbers: number[] = [];
  for (const { startPage, endPage } of spans) {
    const first = Math.max(Math.floor(startPage / WINDOW_PAGES), (numbers.at(-1) ?? -1) + 1);
    for (let number = first; number * WINDOW_PAGES < endPage; number++) numbers.push(number);
  }
  return numbers;
}

/** Tasks whose windows follow one another, as many together as one read covers. */
function* groupsOf(tasks: Iterable<WindowTask>): Generator<readonly WindowTask[]> {
  let group: WindowTask[] = [];
  for (const task of tasks) {
    const last = group.at(-1);
    if (last !== undefined && (group.length === WINDOWS_A_READ || task.number !== last.number + 1)) {
      yield group;
      group = [];
    }
    group.push(task);
  }
  if (group.length > 0) yield group;
}
