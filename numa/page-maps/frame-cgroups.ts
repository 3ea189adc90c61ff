import { PageFile, READ_PAGES } from './page-files.ts';
import type { Span } from './page-sample.ts';

const KPAGECGROUP = '/proc/kpagecgroup';
const HIGH_WORD = 2 ** 32;

/** Tells which cgroup each page frame is charged to, by /proc/kpagecgroup (admin-guide/mm/pagemap). */
export class FrameCgroups {
  readonly #file: PageFile;

  private constructor(file: PageFile) {
    this.#file = file;
  }

  /** Throws SysFsError: the file is for root only, and not there on kernels without memory cgroups. */
  static async open(root: string): Promise<FrameCgroups> {
    return new FrameCgroups(await PageFile.open(root, KPAGECGROUP));
  }

  /** How many of the frames are charged to which cgroup, by its inode; 0: to none, being free or the kernel's. Throws SysFsError. */
  async count(spans: readonly Span[]): Promise<ReadonlyMap<number, number>> {
    const counts = new Map<number, number>();
    for (const span of spans) {
      for (let start = span.start; start < span.end; start += READ_PAGES) {
        const { words, pages } = await this.#file.read(start, Math.min(READ_PAGES, span.end - start));
        addCounts(words, pages, counts);
      }
    }
    return counts;
  }

  async close(): Promise<void> {
    await this.#file.close();
  }
}

/** Adds entries, as 32-bit halves, to the counts; neighbours are mostly charged to the same. */
function addCounts(words: Uint32Array, pages: number, counts: Map<number, number>): void {
  for (let page = 0; page < pages; ) {
    const low = words[2 * page];
    const high = words[2 * page + 1];
    const first = page;
    do page++;
    while (page < pages && words[2 * page] === low && words[2 * page + 1] === high);
    const inode = (high ?? 0) * HIGH_WORD + (low ?? 0);
    counts.set(inode, (counts.get(inode) ?? 0) + page - first);
  }
}
