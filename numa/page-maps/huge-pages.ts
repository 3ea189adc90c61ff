import { SysFsError } from '../sysfs.ts';
import { PageFile, READ_PAGES } from './page-files.ts';
import type { RunBuffer } from './pagemap-runs.ts';
import { BLOCK_PAGES } from './pagemap-runs.ts';

const KPAGEFLAGS = '/proc/kpageflags';
/** Bits of /proc/kpageflags (Documentation/admin-guide/mm/pagemap.rst). */
const COMPOUND_HEAD = 2 ** 15;
const COMPOUND_TAIL = 2 ** 16;
const HUGE = 2 ** 17;
const THP = 2 ** 22;

/** What a run of 512 aligned pages is. Part of a gigantic page is one of a hugetlb page larger than 2 MiB. */
export type BlockKind = 'base' | 'huge' | 'gigantic';

/**
 * From the flags of the 512 frames of a block and of the one after it (0 when unknown). Every compound page starts at a
 * multiple of its size, so that one which starts here and reaches over the middle is of 512 pages or more.
 */
export function blockKind(first: number, middle: number, after: number): BlockKind {
  if ((middle & COMPOUND_TAIL) === 0 || (first & (HUGE | THP)) === 0) return 'base';
  const larger = (after & COMPOUND_TAIL) !== 0;
  return (first & COMPOUND_HEAD) !== 0 && !larger ? 'huge' : 'gigantic';
}

/** Tells huge pages from pages that merely follow one another, by /proc/kpageflags; without it no page is taken for huge. */
export class HugePages {
  readonly #file: PageFile | undefined;

  private constructor(file: PageFile | undefined) {
    this.#file = file;
  }

  static async open(root: string): Promise<HugePages> {
    try {
      return new HugePages(await PageFile.open(root, KPAGEFLAGS));
    } catch (error) {
      if (error instanceof SysFsError) return new HugePages(undefined);
      throw error;
    }
  }

  /**
   * Marks the runs that are huge pages. Parts of gigantic pages, which do not move in steps of ours, become empty runs.
   */
  async mark(runs: RunBuffer): Promise<void> {
    if (this.#file === undefined) return;
    for (let i = 0; i < runs.length; ) {
      if (!mayBeHuge(runs, i)) {
        i++;
        continue;
      }
      // Blocks that follow one another in memory share a read.
      const firstFrame = runs.startFrame[i] ?? 0;
      let count = 1;
      const most = READ_PAGES / BLOCK_PAGES - 1;
      while (
        count < most &&
        mayBeHuge(runs, i + count) &&
        runs.startFrame[i + count] === firstFrame + count * BLOCK_PAGES
      ) {
        count++;
      }
      await this.#markBlocks(this.#file, runs, i, count, firstFrame);
      i += count;
    }
  }

  async close(): Promise<void> {
    await this.#file?.close();
  }

  async #markBlocks(file: PageFile, runs: RunBuffer, first: number, count: number, firstFrame: number): Promise<void> {
    const wanted = count * BLOCK_PAGES + 1;
    let read: Awaited<ReturnType<PageFile['read']>>;
    try {
      read = await file.read(firstFrame, wanted);
    } catch (error) {
      if (error instanceof SysFsError) return;
      throw error;
    }
    const flags = (page: number): number => (page < read.pages ? (read.words[2 * page] ?? 0) : 0);
    for (let block = 0; block < count; block++) {
      const at = block * BLOCK_PAGES;
      const kind = blockKind(flags(at), flags(at + BLOCK_PAGES / 2), flags(at + BLOCK_PAGES));
      if (kind === 'huge') runs.huge[first + block] = 1;
      if (kind === 'gigantic') runs.pages[first + block] = 0;
    }
  }
}

function mayBeHuge(runs: RunBuffer, i: number): boolean {
  return (
    i < runs.length &&
    runs.pages[i] === BLOCK_PAGES &&
    (runs.startPage[i] ?? 0) % BLOCK_PAGES === 0 &&
    (runs.startFrame[i] ?? 0) % BLOCK_PAGES === 0
  );
}
