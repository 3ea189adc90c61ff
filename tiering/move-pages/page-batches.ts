import type { PageRun } from '../../numa/page-maps/page-maps.ts';

/** As many pages as one call takes: 16 MiB of small pages. */
export const BATCH_PAGES = 4096;
/** Pages of neighbouring regions that belong to one process go into one call. */
const WINDOW_PAGES = 2 * BATCH_PAGES;

/** Pages of one process, to be moved by one call. */
export interface PageBatch {
  readonly pid: number;
  /** Virtual page numbers to name; a huge page moves whole when its first page is named. */
  readonly pages: Float64Array;
  /** For each of them how many pages move with it. */
  readonly weights: Float64Array;
}

/** Whether a page may move. */
export type MayMove = (pid: number, page: number) => boolean;

/**
 * Runs of pages as batches of at most 16 MiB, in the order of the runs except that pages of one process among the next few batches go together. Takes what
 * may move from `runs` until `budgetPages` are in batches, or a huge page more.
 */
export function* pageBatches(runs: Iterable<PageRun>, budgetPages: number, mayMove: MayMove): Generator<PageBatch> {
  const queue = new PageQueue(runs, mayMove);
  for (let left = budgetPages; left > 0; ) {
    const { byProcess, pages } = queue.take(Math.min(left, WINDOW_PAGES));
    if (pages === 0) return;
    left -= pages;
    for (const [pid, named] of byProcess) yield* cut(pid, named);
  }
}

interface Named {
  readonly pages: number[];
  readonly weights: number[];
}

/** The pages of runs, one after the other. */
class PageQueue {
  readonly #runs: Iterator<PageRun>;
  readonly #mayMove: MayMove;
  #run: PageRun | undefined;
  #nextPage = 0;

  constructor(runs: Iterable<PageRun>, mayMove: MayMove) {
    this.#runs = runs[Symbol.iterator]();
    this.#mayMove = mayMove;
  }

  /** The next so many pages that may move, by process. */
  take(most: number): { readonly byProcess: ReadonlyMap<number, Named>; readonly pages: number } {
    const byProcess = new Map<number, Named>();
    let pages = 0;
    for (let run = this.#current(); run !== undefined && pages < most; run = this.#current()) {
      const { pid, huge } = run;
      const weight = huge ? run.pages : 1;
      const end = run.startPage + run.pages;
      let named = byProcess.get(pid);
      if (named === undefined) {
        named = { pages: [], weights: [] };
        byProcess.set(pid, named);
      }
      for (; this.#nextPage < end && pages < most; this.#nextPage += weight) {
        if (!this.#mayMove(pid, this.#nextPage)) continue;
        named.pages.push(this.#nextPage);
        named.weights.push(weight);
        pages += weight;
      }
    }
    return { byProcess, pages };
  }

  #current(): PageRun | undefined {
    if (this.#run !== undefined && this.#nextPage < this.#run.startPage + this.#run.pages) return this.#run;
    const next = this.#runs.next();
    this.#run = next.done === true ? undefined : next.value;
    this.#nextPage = this.#run?.startPage ?? 0;
    return this.#run;
  }
}

function* cut(pid: number, { pages, weights }: Named): Generator<PageBatch> {
  for (let start = 0; start < pages.length; ) {
    let end = start;
    for (let sum = 0; end < pages.length && sum < BATCH_PAGES; end += 1) sum += weights[end] ?? 1;
    yield {
      pid,
      pages: Float64Array.from(pages.slice(start, end)),
      weights: Float64Array.from(weights.slice(start, end)),
    };
    start = end;
  }
}
