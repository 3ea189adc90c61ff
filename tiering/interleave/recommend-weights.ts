import type { MemoryNode, NodePerformance, PerformanceSource } from '../../numa/topology.ts';
import type { NodeWeight } from '../../numa/weighted-interleave.ts';

export interface Recommendation {
  /** Where the bandwidths come from. */
  readonly source: PerformanceSource;
  readonly weights: readonly NodeWeight[];
}

/** Larger weights follow the bandwidths more closely, but put more neighbouring pages on one node. */
const MAX_WEIGHT = 32;
/** By how much a node's share of the pages may differ from its share of the bandwidth. */
const TOLERATED_SHARE_ERROR = 0.01;

/**
 * Weights in the ratio of the nodes' read bandwidths, as small as keeps each node's share within a hundredth of it.
 * Undefined when no one source tells the bandwidth of all nodes: figures of two sources cannot be compared.
 */
export function recommendWeights(nodes: readonly MemoryNode[]): Recommendation | undefined {
  const figures =
    ofOneSource(nodes.map(({ performance }) => performance)) ?? ofOneSource(nodes.map(({ measured }) => measured));
  if (figures === undefined) return undefined;
  const weights = smallWeights(figures.bandwidths);
  return {
    source: figures.source,
    weights: nodes.map(({ nodeId }, index) => ({ nodeId, weight: weights[index] ?? 1 })),
  };
}

function ofOneSource(
  performances: readonly (NodePerformance | undefined)[],
): { readonly source: PerformanceSource; readonly bandwidths: readonly number[] } | undefined {
  const source = performances[0]?.source;
  const bandwidths = performances.flatMap((performance) =>
    performance?.source === source && performance?.readBandwidthMiBps ? [performance.readBandwidthMiBps] : [],
  );
  if (source === undefined || bandwidths.length < performances.length) return undefined;
  return { source, bandwidths };
}

function smallWeights(bandwidths: readonly number[]): readonly number[] {
  const fastest = Math.max(...bandwidths);
  const scaled = (max: number): number[] =>
    bandwidths.map((bandwidth) => Math.max(1, Math.round((bandwidth / fastest) * max)));
  let best = scaled(1);
  for (let max = 2; max <= MAX_WEIGHT && shareError(best, bandwidths) > TOLERATED_SHARE_ERROR; max++) {
    const weights = scaled(max);
    if (shareError(weights, bandwidths) < shareError(best, bandwidths)) best = weights;
  }
  return best;
}

/** The largest difference between a node's share of the pages and of the bandwidth. */
function shareError(weights: readonly number[], bandwidths: readonly number[]): number {
  const [allWeights, allBandwidths] = [sum(weights), sum(bandwidths)];
  const errors = weights.map((weight, index) =>
    Math.abs(weight / allWeights - (bandwidths[index] ?? 0) / allBandwidths),
  );
  return Math.max(...errors);
}

function sum(values: readonly number[]): number {
  return values.reduce((total, value) => total + value, 0);
}
