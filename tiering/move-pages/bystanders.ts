import { setImmediate } from 'node:timers/promises';
import type { PageRun } from '../../numa/page-maps/page-maps.ts';
import type { RunBuffer } from '../../numa/page-maps/pagemap-runs.ts';
import type { VisitBlock } from '../../numa/page-maps/read-blocks.ts';
import type { HeatMemory } from './heat-memory.ts';
import type { Block } from './mixed-regions.ts';
import { MixedRegions, withinBlocks } from './mixed-regions.ts';
import type { RegionRates } from './region-rates.ts';

/** Tells where the pages of blocks of a process lie now; of what it cannot read it tells nothing. */
export type ReadBlocks = (pid: number, blocks: readonly number[], visit: VisitBlock) => Promise<void>;

/** What is looked at before pages are moved, at most: beyond it everything counts as hot as its region. A dense GiB has 512 blocks. */
const MAX_PIECES = 16_384;
/** So many runs of pages of a block, spread over it, tell how hot it is. */
const ENOUGH_RUNS = 64;
/** The event loop is never held for longer. */
const SLICE_MS = 2;
/** So many pieces are judged in well under a millisecond. */
const LEFT_OUT_A_LOOK = 64;
/** A MiB of page maps, read in a few milliseconds. */
const BLOCKS_AT_A_TIME = 256;

export interface BystandersOptions {
  readonly rates: RegionRates;
  readonly memory: HeatMemory;
  /** CLOCK_MONOTONIC in milliseconds. */
  readonly nowMs: () => number;
  readonly readBlocks: ReadBlocks;
  /** Called every few milliseconds of work: waits for as long as others shall have the processor; false: that is enough. */
  readonly mayGoOn: () => Promise<boolean>;
}

/** Finds what lies in hot regions without being what is hot there, for one promotion. */
export class Bystanders {
  readonly #options: BystandersOptions;
  readonly #regions: MixedRegions;

  constructor(options: BystandersOptions) {
    this.#options = options;
    this.#regions = new MixedRegions(options.rates, options.memory.leftSince(options.rates.sinceMs));
  }

  /** Looks at what is known to lie in the regions, as far as it may go on. Throws what reading page maps throws. */
  async look(runs: Iterable<PageRun | undefined>, isStuck: (pid: number, page: number) => boolean): Promise<void> {
    const { mayGoOn, readBlocks } = this.#options;
    const pieces = first(MAX_PIECES, withinBlocks(runs));
    const survey = this.#regions.survey(pieces, ({ pid, startPage }) => isStuck(pid, startPage));
    let sliceMs = performance.now();
    let step = survey.next();
    for (; step.done !== true; step = survey.next()) {
      if (performance.now() - sliceMs < SLICE_MS) continue;
      await setImmediate();
      await mayGoOn();
      sliceMs = performance.now();
    }
    for (const [pid, blocks] of byProcess(this.#toRead(step.value))) {
      for (let start = 0; start < blocks.length; start += BLOCKS_AT_A_TIME) {
        if (!(await mayGoOn())) return;
        const some = blocks.slice(start, start + BLOCKS_AT_A_TIME);
        await readBlocks(pid, some, (block, found) => this.#learn({ pid, block }, found));
      }
    }
  }

  /** Runs without the bystanders (undefined in place of many), cut where blocks end. What is given is on its leave. */
  *without(runs: Iterable<PageRun | undefined>): Generator<PageRun | undefined> {
    const { memory, nowMs } = this.#options;
    let leftOut = 0;
    for (const piece of withinBlocks(runs)) {
      if (piece === undefined) {
        yield undefined;
        continue;
      }
      if (this.#regions.isBystander(piece)) {
        leftOut += 1;
        if (leftOut % LEFT_OUT_A_LOOK === 0) yield undefined;
        continue;
      }
      const heat = this.#regions.heatOf(piece);
      if (heat !== undefined) memory.leave({ ...piece, heat }, nowMs());
      yield piece;
    }
  }

  /** The blocks but those that were looked at a moment ago. */
  #toRead(blocks: readonly Block[]): readonly Block[] {
    const { memory, nowMs } = this.#options;
    return blocks.filter((block) => {
      const heat = memory.recent(block, nowMs());
      if (heat !== undefined) this.#regions.learn(block, heat);
      return heat === undefined;
    });
  }

  #learn(block: Block, { startFrame, pages, length }: RunBuffer): void {
    const { memory, nowMs } = this.#options;
    let frames = 0;
    let rates = 0;
    const step = Math.max(1, Math.floor(length / ENOUGH_RUNS));
    for (let run = 0; run < length; run += step) {
      const sum = this.#options.rates.sumOver(startFrame[run] ?? 0, pages[run] ?? 0);
      frames += sum.frames;
      rates += sum.rates;
    }
    if (frames > 0) this.#regions.learn(block, memory.smooth(block, rates / frames, nowMs()));
  }
}

/** Block numbers of each process, ascending. */
function byProcess(blocks: readonly Block[]): ReadonlyMap<number, readonly number[]> {
  const numbers = new Map<number, number[]>();
  for (const { pid, block } of blocks) {
    const ofProcess = numbers.get(pid) ?? [];
    numbers.set(pid, ofProcess);
    ofProcess.push(block);
  }
  for (const ofProcess of numbers.values()) ofProcess.sort((a, b) => a - b);
  return numbers;
}

function* first<T>(most: number, items: Iterable<T>): Generator<T> {
  let left = most;
  for (const item of items) {
    if (left === 0) return;
    if (item !== undefined) left -= 1;
    yield item;
  }
}
