import type { PageRun } from '../../numa/page-maps/page-maps.ts';
import { BLOCK_PAGES } from '../../numa/page-maps/pagemap-runs.ts';
import type { RegionRates } from './region-rates.ts';

/** A page whose block is less hot than this share of the hottest ones is none of the hot pages. */
const LEAST_SHARE = 0.5;
/** The hottest block of a region is the hottest of those that it owes at least so much of its accesses to. */
const LEAST_PART = 0.05;
/** The hottest of all are those to which so much of all accesses goes. */
const HOTTEST_PART = 0.25;

/** 2^22 processes' keys are exact. */
const KEYS_A_PROCESS = 2 ** 31;

/** 512 virtual pages of a process. */
export interface Block {
  readonly pid: number;
  /** Virtual page / 512. */
  readonly block: number;
}

/** What a region holds of a block. */
interface Part {
  readonly pages: number;
  /** Mean access rate of the block's pages, in shares; undefined: not known. */
  readonly heat: number | undefined;
}

/** Pages that have left a node, and how hot they were. */
export interface Departed {
  readonly startFrame: number;
  readonly pages: number;
  readonly heat: number;
}

/**
 * Tells the hot pages of regions from cold ones that lie between them. A region has one access rate for all its pages, and where memory is
 * fragmented, or hot and cold pages came together, they are a mix. But programs lay out their memory by virtual addresses: the pages of a block are mostly
 * alike wherever they lie, and the regions that a block is spread over say together how hot it is. Accesses are put down to the hottest blocks, as one
 * step of expectation maximization would share them out (Richardson 1972, Lucy 1974): in each region, and among all that waits, where less hot
 * blocks come when hotter ones are gone. Where all blocks are about equally hot, nothing is to be told.
 */
export class MixedRegions {
  readonly #rates: RegionRates;
  /** By key. */
  readonly #heat = new Map<number, number>();
  /** Pages of blocks in regions, by region and then by the block's key. */
  readonly #pages = new Map<number, ReadonlyMap<number, number>>();
  readonly #departed = new Map<number, Part[]>();
  /** Keys of blocks with pages that cannot move. */
  readonly #stuck = new Set<number>();
  /** The heat that pages need in a region, and anywhere, until something new is learned. */
  readonly #leastHeat = new Map<number, number>();
  #leastHeatOfAll: number | undefined;

  /** `departed`: what has left the node since the aggregation began that the rates are of: it has part in them. */
  constructor(rates: RegionRates, departed: Iterable<Departed> = []) {
    this.#rates = rates;
    for (const { startFrame, pages, heat } of departed) {
      const region = rates.regionAt(startFrame);
      const parts = this.#departed.get(region) ?? [];
      this.#departed.set(region, parts);
      parts.push({ pages, heat });
    }
  }

  /**
   * Takes what lies in regions, pieces within one block each; in steps. Pages that were there before and have left since still count, for the
   * rate of their region is of that time. Pieces that cannot move keep no other waiting. Gives the blocks of which it is not known yet how hot they are.
   */
  *survey(
    pieces: Iterable<PageRun | undefined>,
    isStuck: (piece: PageRun) => boolean,
  ): Generator<void, readonly Block[]> {
    const found = new Map<number, Map<number, number>>();
    const unknown = new Map<number, Block>();
    for (const piece of pieces) {
      if (piece === undefined) {
        yield;
        continue;
      }
      const block = blockOf(piece);
      const key = keyOf(block);
      const region = this.#rates.regionAt(piece.startFrame);
      const inRegion = found.get(region) ?? new Map<number, number>();
      found.set(region, inRegion);
      inRegion.set(key, (inRegion.get(key) ?? 0) + piece.pages);
      if (!this.#heat.has(key)) unknown.set(key, block);
      if (isStuck(piece)) this.#stuck.add(key);
      yield;
    }
    for (const [region, pages] of found) {
      for (const [key, before] of this.#pages.get(region) ?? []) pages.set(key, Math.max(before, pages.get(key) ?? 0));
      this.#pages.set(region, pages);
    }
    this.#forgetLeast();
    return [...unknown.values()];
  }

  /** How hot a block is: the mean rate of its pages, in shares. */
  learn(block: Block, rate: number): void {
    this.#heat.set(keyOf(block), rate);
    this.#forgetLeast();
  }

  /** How hot the block of a piece is; undefined: not known. */
  heatOf(piece: PageRun): number | undefined {
    return this.#heat.get(keyOf(blockOf(piece)));
  }

  /** Whether a piece lies in a hot region without being what is hot there, as far as can be told. */
  isBystander(piece: PageRun): boolean {
    const heat = this.heatOf(piece);
    if (heat === undefined) return false;
    this.#leastHeatOfAll ??= LEAST_SHARE * this.#hottestOfAll();
    return heat < this.#leastHeatOfAll || heat < this.#leastHeatIn(this.#rates.regionAt(piece.startFrame));
  }

  #leastHeatIn(region: number): number {
    const before = this.#leastHeat.get(region);
    if (before !== undefined) return before;
    const parts = [...(this.#departed.get(region) ?? [])];
    for (const [key, pages] of this.#pages.get(region) ?? []) parts.push({ pages, heat: this.#heat.get(key) });
    const accesses = parts.reduce((sum, { pages, heat = 0 }) => sum + pages * heat, 0);
    const hottest = parts.reduce(
      (most, { pages, heat = 0 }) => (pages * heat >= LEAST_PART * accesses ? Math.max(most, heat) : most),
      0,
    );
    const least = LEAST_SHARE * hottest;
    this.#leastHeat.set(region, least);
    return least;
  }

  #hottestOfAll(): number {
    const parts: { readonly accesses: number; readonly heat: number }[] = [];
    for (const inRegion of this.#pages.values()) {
      for (const [key, pages] of inRegion) {
        const heat = this.#stuck.has(key) ? 0 : (this.#heat.get(key) ?? 0);
        parts.push({ accesses: pages * heat, heat });
      }
    }
    let left = HOTTEST_PART * parts.reduce((sum, { accesses }) => sum + accesses, 0);
    for (const { accesses, heat } of parts.sort((a, b) => b.heat - a.heat)) {
      left -= accesses;
      if (left <= 0) return heat;
    }
    return 0;
  }

  #forgetLeast(): void {
    this.#leastHeat.clear();
    this.#leastHeatOfAll = undefined;
  }
}

/** Runs, cut where blocks end. What is undefined stays so. */
export function* withinBlocks(runs: Iterable<PageRun | undefined>): Generator<PageRun | undefined> {
  for (const run of runs) {
    if (run === undefined) {
      yield undefined;
      continue;
    }
    const { pid, startPage, startFrame, pages, huge } = run;
    if (huge || (startPage % BLOCK_PAGES) + pages <= BLOCK_PAGES) {
      yield run;
      continue;
    }
    for (let done = 0; done < pages; ) {
      const take = Math.min(pages - done, BLOCK_PAGES - ((startPage + done) % BLOCK_PAGES));
      yield { pid, startPage: startPage + done, startFrame: startFrame + done, pages: take, huge };
      done += take;
    }
  }
}

function blockOf({ pid, startPage }: PageRun): Block {
  return { pid, block: Math.floor(startPage / BLOCK_PAGES) };
}

/** Tells blocks from each other, but for those more than 4 PiB apart. A number, for pieces are many. */
export function keyOf({ pid, block }: Block): number {
  return pid * KEYS_A_PROCESS + (block % KEYS_A_PROCESS);
}
