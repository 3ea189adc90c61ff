import { SysFsError } from '../sysfs.ts';
import { PageFile } from './page-files.ts';
import type { RunBuffer } from './pagemap-runs.ts';
import { BLOCK_PAGES } from './pagemap-runs.ts';

const KPAGEFLAGS = '/proc/kpageflags';
/** Bits of /proc/kpageflags (Documentation/admin-guide/mm/pagemap.rst). */
const COMPOUND_TAIL = 2 ** 16;
const HUGE = 2 ** 17;
const THP = 2 ** 22;

/** What a run of 512 aligned pages is. */
type BlockKind = 'base' | 'huge' | 'hugetlb';

/** From the flags of a block's middle frame. Every compound page starts at a multiple of its size, so that one whose tail lies there covers it all. */
function blockKind(middle: number): BlockKind {
  if ((middle & COMPOUND_TAIL) === 0) return 'base';
  if ((middle & HUGE) !== 0) return 'hugetlb';
  return (middle & THP) === 0 ? 'base' : 'huge';
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
   * Marks the runs that are huge pages. Those of hugetlb become empty runs: they are on no LRU list, where DAMON finds its pages, so that all of them
   * look cold; and what reserved them wants them where they are.
   */
  mark(runs: RunBuffer): void {
    const file = this.#file;
    if (file === undefined) return;
    for (let i = 0; i < runs.length; i++) {
      const firstFrame = runs.startFrame[i] ?? 0;
      const mayBeHuge =
        runs.pages[i] === BLOCK_PAGES && firstFrame % BLOCK_PAGES === 0 && (runs.startPage[i] ?? 0) % BLOCK_PAGES === 0;
      if (!mayBeHuge) continue;
      // The kernel takes 0.1 us to tell a frame's flags, so one at a time is far cheaper than all 512.
      const kind = blockKind(file.lowWordNow(firstFrame + BLOCK_PAGES / 2));
      if (kind === 'huge') runs.huge[i] = 1;
      if (kind === 'hugetlb') runs.pages[i] = 0;
    }
  }

  async close(): Promise<void> {
    await this.#file?.close();
  }
}
