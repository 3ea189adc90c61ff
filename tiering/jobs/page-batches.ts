import { ADDRESS_UNIT_BYTES } from '../../numa/page-size.ts';

/** Neighbouring virtual pages, in ADDRESS_UNIT_BYTES; `endPage` is exclusive. */
export interface PageRun {
  readonly startPage: number;
  readonly endPage: number;
  /** Size of what moves: more than the kernel's pages in an area of hugetlb pages, which are named by their first unit. */
  readonly pageBytes: number;
  /** No page crosses a multiple of this, not even a transparent huge page, which moves whole. */
  readonly blockBytes: number;
}

/** Pages for one call of move_pages(2), ascending. */
export interface PageBatch extends Pick<PageRun, 'pageBytes' | 'blockBytes'> {
  readonly pages: Float64Array;
}

/**
 * The pages of some runs in batches of at most `maxPages`, or of one block. A batch does not end within a block of a run: the kernel moves a huge page
 * whole when it is named once, and the part in the next batch would seem never to have moved.
 */
export async function* pageBatches(
  runs: Iterable<PageRun> | AsyncIterable<PageRun>,
  maxPages: number,
): AsyncGenerator<PageBatch> {
  let pages: number[] = [];
  let size: Pick<PageRun, 'pageBytes' | 'blockBytes'> | undefined;
  for await (const run of runs) {
    if (size !== undefined && run.pageBytes !== size.pageBytes && pages.length > 0) {
      yield { ...size, pages: Float64Array.from(pages) };
      pages = [];
    }
    size = { pageBytes: run.pageBytes, blockBytes: run.blockBytes };
    for (const block of blocks(run)) {
      if (pages.length > 0 && pages.length + block.length > maxPages) {
        yield { ...size, pages: Float64Array.from(pages) };
        pages = [];
      }
      pages.push(...block);
    }
  }
  if (size !== undefined && pages.length > 0) yield { ...size, pages: Float64Array.from(pages) };
}

/** The run's pages, one block after another. */
function* blocks({ startPage, endPage, pageBytes, blockBytes }: PageRun): Generator<number[]> {
  const step = pageBytes / ADDRESS_UNIT_BYTES;
  for (let first = startPage; first < endPage; ) {
    const next = Math.min(endPage, ((blockOf(first, blockBytes) + 1) * blockBytes) / ADDRESS_UNIT_BYTES);
    yield Array.from({ length: Math.ceil((next - first) / step) }, (_, index) => first + index * step);
    first = next;
  }
}

/**
 * How many of a batch's first pages make at most `maxBytes` and end at the border of a block. Those of one block at least, when `atLeastOne`: it can be
 * larger than any step.
 */
export function fittingPages(
  { pages, pageBytes, blockBytes }: PageBatch,
  maxBytes: number,
  atLeastOne: boolean,
): number {
  const most = Math.floor(maxBytes / pageBytes);
  if (most >= pages.length) return pages.length;
  const isWithinBlock = (count: number) => {
    const [last, next] = [pages[count - 1], pages[count]];
    return last !== undefined && next !== undefined && blockOf(last, blockBytes) === blockOf(next, blockBytes);
  };
  let count = most;
  while (count > 0 && isWithinBlock(count)) count--;
  if (count > 0 || !atLeastOne) return count;
  count = 1;
  while (isWithinBlock(count)) count++;
  return count;
}

function blockOf(page: number, blockBytes: number): number {
  return Math.floor((page * ADDRESS_UNIT_BYTES) / blockBytes);
}

/** A batch as runs: what has to be kept of pages for later. */
export function toRuns({ pages, pageBytes, blockBytes }: PageBatch): PageRun[] {
  const step = pageBytes / ADDRESS_UNIT_BYTES;
  const runs: PageRun[] = [];
  let start: number | undefined;
  for (const [index, page] of pages.entries()) {
    start ??= page;
    if (pages[index + 1] === page + step) continue;
    runs.push({ startPage: start, endPage: page + step, pageBytes, blockBytes });
    start = undefined;
  }
  return runs;
}

/** Bytes in some runs. */
export function runBytes(runs: readonly PageRun[]): number {
  return runs.reduce((sum, { startPage, endPage }) => sum + (endPage - startPage) * ADDRESS_UNIT_BYTES, 0);
}
