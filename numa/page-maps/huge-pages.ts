import { SysFsError } from '../sysfs.ts';
import { PageFile } from './page-files.ts';
import type { RunBuffer } from './pagemap-runs.ts';
import { BLOCK_PAGES } from './pagemap-runs.ts';

const KPAGEFLAGS = '/proc/kpageflags';
/** Bits of /proc/kpageflags (Documentation/admin-guide/mm/pagemap.rst). */
const COMPOUND_HEAD = 2 ** 15;
const COMPOUND_TAIL = 2 ** 16;
const HUGE = 2 ** 17;
const THP = 2 ** 22;

/** What a run of 512 aligned pages is. Part of a gigantic page is one of a hugetlb page larger than 2 MiB. */
type BlockKind = 'base' | 'huge' | 'gigantic';

/**
 * From the flags of a block's frames. Every compound page starts at a multiple of its size, so that one whose tail lies in the
 * middle of the block covers it all. Only hugetlb pages can be larger: then they start before it, or reach into the next one.
 */
function blockKind(flagsOf: (frame: number) => number): BlockKind {
  const middle = flagsOf(BLOCK_PAGES / 2);
  if ((middle & COMPOUND_TAIL) === 0 || (middle & (HUGE | THP)) === 0) return 'base';
  if ((middle & HUGE) === 0) return 'huge';
  const larger = (flagsOf(0) & COMPOUND_HEAD) === 0 || (flagsOf(BLOCK_PAGES) & COMPOUND_TAIL) !== 0;
  return larger ? 'gigantic' : 'huge';
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

  /** Marks the runs that are huge pages. Parts of gigantic pages, which move_pages(2) does not move by a part, become empty runs. */
  mark(runs: RunBuffer): void {
    const file = this.#file;
    if (file === undefined) return;
    for (let i = 0; i < runs.length; i++) {
      const firstFrame = runs.startFrame[i] ?? 0;
      const mayBeHuge =
        runs.pages[i] === BLOCK_PAGES && firstFrame % BLOCK_PAGES === 0 && (runs.startPage[i] ?? 0) % BLOCK_PAGES === 0;
      if (!mayBeHuge) continue;
      // The kernel takes 0.1 us to tell a frame's flags, so one at a time is far cheaper than all 512.
      const kind = blockKind((frame) => file.lowWordNow(firstFrame + frame));
      if (kind === 'huge') runs.huge[i] = 1;
      if (kind === 'gigantic') runs.pages[i] = 0;
    }
  }

  async close(): Promise<void> {
    await this.#file?.close();
  }
}
