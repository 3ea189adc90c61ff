import type { AddressRange } from '../../numa/topology.ts';
import type { NodeSnapshot } from '../snapshot.ts';
import type { HeatHistogram } from './heat-histogram.ts';
import { HEAT_CLASSES, heatClass } from './heat-histogram.ts';

/** Places that a node is divided into at most, so that cost and memory do not grow with it. */
const MAX_CELLS = 16_384;
const MIN_CELL_BYTES = 262_144;
/** Aggregations that an average goes back at most: further ones are forgotten bit by bit. */
const MEMORY_AGGREGATIONS = 32;
/** A place that differs by so many standard deviations from its average has got other contents, or other users. */
const CHANGED_DEVIATIONS = 3;
/** How sure `atLeast` and `atMost` are, in standard deviations. */
const SURE_DEVIATIONS = 3;

/**
 * The heat of each place of a node, averaged over aggregations: one aggregation of few samples tells a rate only roughly, and what is hot by chance must not
 * move. A place whose rate differs from its average by more than chance explains begins anew, so that a change is seen at once.
 *
 * Regions come and go, therefore places are cells of equal size.
 */
export class HeatMap {
  readonly #ranges: readonly AddressRange[];
  /** Index of the first cell of each range. */
  readonly #firstCells: readonly number[];
  readonly #cellBytes: number;
  readonly #mean: Float32Array;
  /** Aggregations that a mean stands for; 0: never seen. */
  readonly #weight: Float32Array;
  readonly #seenBytes: Float64Array;
  readonly #seenHeat: Float64Array;
  #samples = 1;
  #samplingIntervalMs = 0;

  constructor(ranges: readonly AddressRange[]) {
    this.#ranges = ranges;
    const totalBytes = ranges.reduce((total, { start, end }) => total + end - start, 0);
    this.#cellBytes = Math.max(MIN_CELL_BYTES, Math.ceil(totalBytes / MAX_CELLS));
    const firstCells: number[] = [];
    let cells = 0;
    for (const { start, end } of ranges) {
      firstCells.push(cells);
      cells += Math.ceil((end - start) / this.#cellBytes);
    }
    this.#firstCells = firstCells;
    this.#mean = new Float32Array(cells);
    this.#weight = new Float32Array(cells);
    this.#seenBytes = new Float64Array(cells);
    this.#seenHeat = new Float64Array(cells);
  }

  /** Takes in one aggregation. */
  add(snapshot: NodeSnapshot): void {
    const samplingIntervalMs = snapshot.aggregationIntervalMs / snapshot.maxNrAccesses;
    if (this.#samplingIntervalMs > 0 && samplingIntervalMs !== this.#samplingIntervalMs) {
      this.#rescale(samplingIntervalMs / this.#samplingIntervalMs);
    }
    this.#samplingIntervalMs = samplingIntervalMs;
    this.#samples = snapshot.maxNrAccesses;
    this.#seenBytes.fill(0);
    this.#seenHeat.fill(0);
    for (const { start, end, nrAccesses } of snapshot.regions) this.#see(start, end, nrAccesses);
    for (let cell = 0; cell < this.#mean.length; cell += 1) {
      const bytes = this.#seenBytes[cell] ?? 0;
      if (bytes > 0) this.#learn(cell, Math.min(1, (this.#seenHeat[cell] ?? 0) / bytes / this.#samples));
    }
  }

  /** Bytes by heat, of all that has been seen. */
  histogram(): HeatHistogram {
    const likely = new Array<number>(HEAT_CLASSES).fill(0);
    const atLeast = new Array<number>(HEAT_CLASSES).fill(0);
    const atMost = new Array<number>(HEAT_CLASSES).fill(0);
    const put = (bytes: number[], share: number, size: number) => {
      const heat = heatClass(share);
      bytes[heat] = (bytes[heat] ?? 0) + size;
    };
    for (let cell = 0; cell < this.#mean.length; cell += 1) {
      const size = this.#seenBytes[cell] ?? 0;
      const mean = this.#mean[cell] ?? 0;
      if (size === 0) continue;
      const doubt = SURE_DEVIATIONS * this.#deviation(mean, (this.#weight[cell] ?? 0) * this.#samples);
      put(likely, mean, size);
      put(atLeast, mean - doubt, size);
      put(atMost, mean + doubt, size);
    }
    const seenHeatBytes = this.#seenHeat.reduce((total, heat) => total + heat, 0) / this.#samples;
    return { likely, atLeast, atMost, seenHeatBytes, samplingIntervalMs: this.#samplingIntervalMs };
  }

  #see(start: number, end: number, nrAccesses: number): void {
    for (const [index, range] of this.#ranges.entries()) {
      const from = Math.max(start, range.start);
      const to = Math.min(end, range.end);
      const first = this.#firstCells[index] ?? 0;
      for (let at = from; at < to; ) {
        const offset = Math.floor((at - range.start) / this.#cellBytes);
        const next = Math.min(to, range.start + (offset + 1) * this.#cellBytes);
        const cell = first + offset;
        this.#seenBytes[cell] = (this.#seenBytes[cell] ?? 0) + next - at;
        this.#seenHeat[cell] = (this.#seenHeat[cell] ?? 0) + (next - at) * nrAccesses;
        at = next;
      }
    }
  }

  #learn(cell: number, seen: number): void {
    const weight = this.#weight[cell] ?? 0;
    const mean = this.#mean[cell] ?? 0;
    const samples = this.#samples;
    const chance = Math.hypot(this.#deviation(mean, samples), this.#deviation(mean, samples * Math.max(1, weight)));
    if (weight === 0 || Math.abs(seen - mean) > CHANGED_DEVIATIONS * chance) {
      this.#mean[cell] = seen;
      this.#weight[cell] = 1;
      return;
    }
    const known = Math.min(MEMORY_AGGREGATIONS, weight + 1);
    this.#weight[cell] = known;
    this.#mean[cell] = mean + (seen - mean) / known;
  }

  /** Standard deviation of a share of so many samples, for a rate that none, or all, of few samples have seen, too. */
  #deviation(share: number, samples: number): number {
    const likely = (share * samples + 0.5) / (samples + 1);
    return Math.sqrt((likely * (1 - likely)) / samples);
  }

  /** A page seen by a share of samples is seen by another share of samples of another length. */
  #rescale(ratio: number): void {
    for (let cell = 0; cell < this.#mean.length; cell += 1) {
      this.#mean[cell] = 1 - (1 - Math.min(0.999, this.#mean[cell] ?? 0)) ** ratio;
      // Saturated, or never seen, it says little of the new scale.
      this.#weight[cell] = Math.min(2, this.#weight[cell] ?? 0);
    }
  }
}
