/** Virtual page numbers count pages of this size, whatever moves. */
export const PAGE_BYTES = 4096;

/** No transparent huge page crosses such a border. */
const PAGES_PER_BLOCK = 512;

/** Neighbouring virtual pages; `endPage` is exclusive. */
export interface PageRun {
  readonly startPage: number;
  readonly endPage: number;
  /** Size of what moves: more than PAGE_BYTES in an area of hugetlb pages, which are named by their first page. */
  readonly pageBytes: number;
}

/** Pages for one call of move_pages(2), ascending. */
export interface PageBatch {
  readonly pages: Float64Array;
  readonly pageBytes: number;
}

/**
 * The pages of some runs in batches of at most `maxPages` (at least 512). A batch does not end within a 2 MiB block of a run:
 * the kernel moves a huge page whole when it is named once, and the part in the next batch would seem never to have moved.
 */
export function* pageBatches(runs: Iterable<PageRun>, maxPages: number): Generator<PageBatch> {
  let pages: number[] = [];
  let pageBytes = PAGE_BYTES;
  for (const run of runs) {
    if (run.pageBytes !== pageBytes && pages.length > 0) {
      yield { pages: Float64Array.from(pages), pageBytes };
      pages = [];
    }
    pageBytes = run.pageBytes;
    for (const block of blocks(run)) {
      if (pages.length + block.length > maxPages) {
        yield { pages: Float64Array.from(pages), pageBytes };
        pages = [];
      }
      pages.push(...block);
    }
  }
  if (pages.length > 0) yield { pages: Float64Array.from(pages), pageBytes };
}

/** The run's pages, one 2 MiB block (or one hugetlb page) after another. */
function* blocks({ startPage, endPage, pageBytes }: PageRun): Generator<number[]> {
  const step = pageBytes / PAGE_BYTES;
  for (let first = startPage; first < endPage; ) {
    const next = step > 1 ? first + step : Math.min(endPage, (blockOf(first) + 1) * PAGES_PER_BLOCK);
    yield step > 1 ? [first] : Array.from({ length: next - first }, (_, index) => first + index);
    first = next;
  }
}

/**
 * How many of a batch's first pages make at most `maxBytes` and end at the border of a 2 MiB block. Of hugetlb pages one at
 * least, when `atLeastOne`: they can be larger than any step.
 */
export function fittingPages({ pages, pageBytes }: PageBatch, maxBytes: number, atLeastOne: boolean): number {
  const most = Math.floor(maxBytes / pageBytes);
  if (most >= pages.length) return pages.length;
  if (pageBytes > PAGE_BYTES) return atLeastOne ? Math.max(1, most) : most;
  let count = most;
  while (count > 0 && sameBlock(pages[count - 1], pages[count])) count--;
  return count;
}

function sameBlock(a: number | undefined, b: number | undefined): boolean {
  return a !== undefined && b !== undefined && blockOf(a) === blockOf(b);
}

function blockOf(page: number): number {
  return Math.floor(page / PAGES_PER_BLOCK);
}

/** A batch as runs: what has to be kept of pages for later. */
export function toRuns({ pages, pageBytes }: PageBatch): PageRun[] {
  const step = pageBytes / PAGE_BYTES;
  const runs: PageRun[] = [];
  let start: number | undefined;
  for (const [index, page] of pages.entries()) {
    start ??= page;
    if (pages[index + 1] === page + step) continue;
    runs.push({ startPage: start, endPage: page + step, pageBytes });
    start = undefined;
  }
  return runs;
}

/** Bytes in some runs. */
export function runBytes(runs: readonly PageRun[]): number {
  return runs.reduce((sum, { startPage, endPage }) => sum + (endPage - startPage) * PAGE_BYTES, 0);
}
