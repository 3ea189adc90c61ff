import type { AddressRange } from '../numa/topology.ts';
import type { HeatLevels } from './tuner/levels.ts';

/** One DAMON monitoring region as one aggregation left it. */
export interface Region extends AddressRange {
  /** Sampling intervals of the aggregation in which an access was seen. */
  readonly nrAccesses: number;
  /** Aggregations for which the access rate has been about the same. */
  readonly age: number;
}

/** All regions of one memory node after one aggregation. */
export interface NodeSnapshot {
  readonly nodeId: number;
  /** Monotonic time at which the aggregation was read, in milliseconds. */
  readonly takenAtMs: number;
  /** When the aggregation before was read, which may be one that no decision was made on: tells how long this one really took. */
  readonly previousAtMs?: number;
  /** Samples in an aggregation: `nrAccesses` of a region that was accessed all the time. */
  readonly maxNrAccesses: number;
  readonly aggregationIntervalMs: number;
  readonly regions: readonly Region[];
  /** What counts as hot and cold on the node now; undefined before the first decision. */
  readonly levels?: HeatLevels;
}

/** The same snapshot, with what counts as hot and cold in it. */
export function withLevels(snapshot: NodeSnapshot, levels: HeatLevels | undefined): NodeSnapshot {
  return levels === undefined ? snapshot : { ...snapshot, levels };
}

/** What lies within a range, cut to it. */
export function regionsWithin(regions: readonly Region[], { start, end }: AddressRange): readonly Region[] {
  return regions
    .filter((region) => region.end > start && region.start < end)
    .map((region) => ({ ...region, start: Math.max(region.start, start), end: Math.min(region.end, end) }));
}

/** Bytes of a node's monitored ranges by temperature under a policy; free and unmovable memory counts as cold. */
export interface Temperatures {
  readonly hotBytes: number;
  readonly warmBytes: number;
  readonly coldBytes: number;
}
