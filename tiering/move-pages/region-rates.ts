import type { NodeSnapshot } from '../snapshot.ts';
import { firstAbove } from './ascending.ts';

/** How often the page frames of a node were seen accessed, as far as its regions tell. */
export class RegionRates {
  /** When the aggregation began that they were seen in, by CLOCK_MONOTONIC. */
  readonly sinceMs: number;
  readonly #starts: Float64Array;
  readonly #ends: Float64Array;
  /** Shares of the samples that saw an access. */
  readonly #rates: Float64Array;

  /** Page frames are counted in pages of `pageBytes`. */
  constructor(snapshot: NodeSnapshot, pageBytes: number) {
    const { regions, maxNrAccesses, takenAtMs, previousAtMs, aggregationIntervalMs } = snapshot;
    this.sinceMs = previousAtMs ?? takenAtMs - aggregationIntervalMs;
    const sorted = regions.toSorted((a, b) => a.start - b.start);
    this.#starts = Float64Array.from(sorted, ({ start }) => Math.floor(start / pageBytes));
    this.#ends = Float64Array.from(sorted, ({ end }) => Math.ceil(end / pageBytes));
    this.#rates = Float64Array.from(sorted, ({ nrAccesses }) => nrAccesses / Math.max(1, maxNrAccesses));
  }

  /** The number of the region that a frame lies in; -1: none of this node's. */
  regionAt(frame: number): number {
    const region = firstAbove(this.#starts, frame) - 1;
    return region >= 0 && frame < (this.#ends[region] ?? 0) ? region : -1;
  }

  /** Of frames that follow each other those that lie in regions, and their rates added up. */
  sumOver(startFrame: number, frames: number): { readonly frames: number; readonly rates: number } {
    const end = startFrame + frames;
    let found = 0;
    let rates = 0;
    for (
      let region = Math.max(0, firstAbove(this.#starts, startFrame) - 1);
      region < this.#starts.length;
      region += 1
    ) {
      const from = Math.max(startFrame, this.#starts[region] ?? 0);
      if (from >= end) break;
      const inside = Math.max(0, Math.min(end, this.#ends[region] ?? 0) - from);
      found += inside;
      rates += inside * (this.#rates[region] ?? 0);
    }
    return { frames: found, rates };
  }
}
