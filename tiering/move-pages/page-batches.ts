import { setImmediate } from 'node:timers/promises';
import type { PageRun } from '../../numa/page-maps/page-maps.ts';
import type { PageBatch } from './page-batch.ts';

/** As many pages as one call takes: 16 MiB of small pages. */
export const BATCH_PAGES = 4096;
/** With fewer in a call, most of its time goes into calling. */
const FEWEST_PAGES = 512;
/** Pages of neighbouring regions that belong to one process go into one call. */
const WINDOW_BATCHES = 2;
/** The event loop is never held for longer ... */
const SLICE_MS = 2;
/** ... and the clock is read after so many pages. */
const PAGES_A_LOOK = 128;

/** As many pages as one call takes within a share of a core: a smaller share takes smaller calls, so that pauses come often and none is long. */
export function batchPagesWithin(maxCpuShare: number): number {
  return Math.max(FEWEST_PAGES, Math.floor(BATCH_PAGES * maxCpuShare));
}

/** Whether a page may move. */
export type MayMove = (pid: number, page: number) => boolean;

export interface BatchesOptions {
  /** Most pages of a batch, or a huge page more. */
  readonly batchPages?: number;
  /** Pages are gathered for so many batches at a time, of whatever process. */
  readonly windowBatches?: number;
  /** Called before the next pages are gathered; false: no more of them. */
  readonly mayGoOn?: () => Promise<boolean>;
}

/**
 * Runs of pages as batches of at most 16 MiB, or `batchPages`, in the order of the runs except that pages of one process among the next few batches go
 * together. Takes what may move from `runs` (undefined in place of a run that was left out) until `budgetPages` are in batches, or a huge page more. Others
 * have the event loop in between, however little may move.
 */
export async function* pageBatches(
  runs: Iterable<PageRun | undefined>,
  budgetPages: number,
  mayMove: MayMove,
  { batchPages = BATCH_PAGES, windowBatches = WINDOW_BATCHES, mayGoOn = async () => true }: BatchesOptions = {},
): AsyncGenerator<PageBatch> {
  const queue = new PageQueue(runs, mayMove);
  for (let left = budgetPages; left > 0; ) {
    if (!(await mayGoOn())) return;
    const { byProcess, pages } = await queue.take(Math.min(left, windowBatches * batchPages));
    if (pages === 0) return;
    left -= pages;
    for (const [pid, named] of byProcess) yield* cut(pid, named, batchPages);
  }
}

interface Named {
  readonly pages: number[];
  readonly weights: number[];
}

/** The pages of runs, one after the other. */
class PageQueue {
  readonly #runs: Iterator<PageRun | undefined, void>;
  readonly #mayMove: MayMove;
  #run: PageRun | undefined;
  #nextPage = 0;
  /** From one taking to the next, for who takes need not wait for anything in between. */
  #sliceMs = performance.now();
  #looks = 0;

  constructor(runs: Iterable<PageRun | undefined>, mayMove: MayMove) {
    this.#runs = runs[Symbol.iterator]();
    this.#mayMove = mayMove;
  }

  /** The next so many pages that may move, by process. */
  async take(most: number): Promise<{ readonly byProcess: ReadonlyMap<number, Named>; readonly pages: number }> {
    const byProcess = new Map<number, Named>();
    let pages = 0;
    while (pages < most) {
      const current = this.#current();
      // To wait for what is there already would cost more than the run itself.
      const run = current instanceof Promise ? await current : current;
      if (run === undefined) break;
      const { pid, huge } = run;
      const weight = huge ? run.pages : 1;
      const end = run.startPage + run.pages;
      let named = byProcess.get(pid);
      if (named === undefined) {
        named = { pages: [], weights: [] };
        byProcess.set(pid, named);
      }
      for (; this.#nextPage < end && pages < most; this.#nextPage += weight) {
        if (this.#isSliceOver()) await this.#nextSlice();
        if (!this.#mayMove(pid, this.#nextPage)) continue;
        named.pages.push(this.#nextPage);
        named.weights.push(weight);
        pages += weight;
      }
    }
    return { byProcess, pages };
  }

  /** The run that is not used up yet; a promise only when that takes long, for runs of one page are many. */
  #current(): PageRun | undefined | Promise<PageRun | undefined> {
    if (this.#run !== undefined && this.#nextPage < this.#run.startPage + this.#run.pages) return this.#run;
    for (let next = this.#runs.next(); next.done !== true; next = this.#runs.next()) {
      this.#run = next.value;
      this.#nextPage = this.#run?.startPage ?? 0;
      if (this.#run !== undefined) return this.#run;
      // What was left out can have been much.
      if (performance.now() - this.#sliceMs >= SLICE_MS) return this.#nextSlice().then(() => this.#current());
    }
    this.#run = undefined;
    return undefined;
  }

  #isSliceOver(): boolean {
    this.#looks += 1;
    return this.#looks % PAGES_A_LOOK === 0 && performance.now() - this.#sliceMs >= SLICE_MS;
  }

  async #nextSlice(): Promise<void> {
    await setImmediate();
    this.#sliceMs = performance.now();
  }
}

function* cut(pid: number, { pages, weights }: Named, batchPages: number): Generator<PageBatch> {
  for (let start = 0; start < pages.length; ) {
    let end = start;
    for (let sum = 0; end < pages.length && sum < batchPages; end += 1) sum += weights[end] ?? 1;
    yield {
      pid,
      pages: Float64Array.from(pages.slice(start, end)),
      weights: Float64Array.from(weights.slice(start, end)),
    };
    start = end;
  }
}
