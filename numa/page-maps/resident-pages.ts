import { SyscallError, SyscallsUnavailableError } from '../syscalls/errors.ts';
import type { PagemapScan, ScannedPages } from '../syscalls/pagemap-scan.ts';
import { hostPagemapScan } from '../syscalls/pagemap-scan.ts';
import type { PageSpan } from './areas.ts';
import type { PageFile } from './page-files.ts';
import { READ_PAGES } from './page-files.ts';

export interface ResidentPagesOptions {
  /** As SysFs has it: a recorded machine cannot be scanned. */
  readonly root: string;
  readonly pageBytes: number;
  readonly loadScan?: () => Promise<PagemapScan>;
}

/** Address space that one scan covers where pages were just found: what is dense takes milliseconds ... */
const FIRST_BYTES = 2 ** 30;
/** ... and at most where nothing is: the scan holds the lock of the address space, and may come to something dense. */
const MOST_BYTES = 2 ** 35;
/** What a kernel says that cannot scan, or a sandbox that does not let us. */
const CANNOT_SCAN = new Set(['ENOTTY', 'ENOSYS', 'EINVAL', 'EPERM']);

/**
 * Finds which pages of a process are in memory: with PAGEMAP_SCAN (Linux 6.7), which steps over what is empty, else by reading its page map, which takes
 * some seconds a terabyte.
 */
export class ResidentPages {
  readonly #options: ResidentPagesOptions;
  #loading: Promise<PagemapScan | undefined> | undefined;
  #isRefused = false;

  constructor(options: ResidentPagesOptions) {
    this.#options = options;
  }

  /** Whether this kernel steps over what is empty. Throws SyscallError. */
  async canScan(pagemap: PageFile): Promise<boolean> {
    return (await this.#scan(pagemap, { startPage: 0, endPage: 1 })) !== undefined;
  }

  /**
   * The pages in memory of a stretch, ascending, in steps of some milliseconds; a step that found nothing gives nothing. Nothing comes any more once
   * the process has exited. Throws SysFsError, SyscallError.
   */
  async *find(pagemap: PageFile, { startPage, endPage }: PageSpan): AsyncGenerator<ScannedPages> {
    const { pageBytes } = this.#options;
    let stepPages = FIRST_BYTES / pageBytes;
    for (let page = startPage; page < endPage; ) {
      // At multiples, which no huge page crosses.
      const stepEnd = Math.min(endPage, (Math.floor(page / stepPages) + 1) * stepPages);
      const scanned = await this.#scan(pagemap, { startPage: page, endPage: stepEnd });
      const step = scanned ?? (await readStep(pagemap, page, endPage));
      yield step;
      if (step.nextPage <= page) return;
      page = step.nextPage;
      stepPages = step.spans.length > 0 ? FIRST_BYTES / pageBytes : Math.min(2 * stepPages, MOST_BYTES / pageBytes);
    }
  }

  /** Undefined where there is no such call. */
  async #scan(pagemap: PageFile, span: PageSpan): Promise<ScannedPages | undefined> {
    if (this.#isRefused) return undefined;
    this.#loading ??= this.#load();
    const scan = await this.#loading;
    try {
      return await scan?.({ fd: pagemap.fd, ...span, pageBytes: this.#options.pageBytes });
    } catch (error) {
      if (!(error instanceof SyscallError)) throw error;
      if (error.errno === 'ESRCH') return { spans: [], nextPage: span.startPage };
      if (!CANNOT_SCAN.has(error.errno)) throw error;
      this.#isRefused = true;
      return undefined;
    }
  }

  async #load(): Promise<PagemapScan | undefined> {
    const { root, loadScan = hostPagemapScan } = this.#options;
    if (root !== '/') return undefined;
    try {
      return await loadScan();
    } catch (error) {
      if (error instanceof SyscallsUnavailableError) return undefined;
      throw error;
    }
  }
}

/** One read of a page map, to the next multiple of what a read covers. */
async function readStep(pagemap: PageFile, startPage: number, endPage: number): Promise<ScannedPages> {
  const readEnd = Math.min(endPage, (Math.floor(startPage / READ_PAGES) + 1) * READ_PAGES);
  const { words, pages } = await pagemap.read(startPage, readEnd - startPage);
  const spans: { startPage: number; endPage: number }[] = [];
  let first = -1;
  for (let index = 0; index < pages; index++) {
    // Bit 63 of an entry: the page is in memory.
    const isPresent = ((words[2 * index + 1] ?? 0) | 0) < 0;
    if (isPresent && first < 0) first = index;
    if (isPresent || first < 0) continue;
    spans.push({ startPage: startPage + first, endPage: startPage + index });
    first = -1;
  }
  if (first >= 0) spans.push({ startPage: startPage + first, endPage: startPage + pages });
  return { spans, nextPage: startPage + pages };
}
