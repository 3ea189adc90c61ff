import type { MemoryNode, NodePerformance, PerformanceSource } from './topology.ts';

/** What is told of the speed of a node. */
export type SpeedFigures = Pick<MemoryNode, 'performance' | 'measured'>;

/** How one node's memory is to another's. */
export type Speed = 'faster' | 'equal' | 'slower';

/**
 * From this ratio of read latencies on, nodes differ in tier even at equal distance. Firmware's figures are often coarse; what
 * was measured is nearer to what programs meet.
 */
const latencySteps: Readonly<Record<PerformanceSource, number>> = { hmat: 1.5, probe: 1.3 };

/** Where latencies are alike. DIMMs of one kind differ by less; HBM has four times the bandwidth of DRAM. */
const bandwidthStep = 2;

/** By figures of one source: what counts for both, else what was measured of both. Undefined: nothing tells. */
export function compareSpeed(node: SpeedFigures, other: SpeedFigures): Speed | undefined {
  return compareFigures(node.performance, other.performance) ?? compareFigures(node.measured, other.measured);
}

/** By latency, then by bandwidth. Undefined: the figures are of two sources, or have nothing in common. */
export function compareFigures(
  figures: NodePerformance | undefined,
  others: NodePerformance | undefined,
): Speed | undefined {
  if (figures === undefined || figures.source !== others?.source) return undefined;
  const step = latencySteps[figures.source];
  const byLatency = byRatio(others.readLatencyNs, figures.readLatencyNs, step);
  if (byLatency === 'faster' || byLatency === 'slower') return byLatency;
  return byRatio(figures.readBandwidthMiBps, others.readBandwidthMiBps, bandwidthStep) ?? byLatency;
}

/** More is faster. */
function byRatio(value: number | undefined, than: number | undefined, step: number): Speed | undefined {
  if (value === undefined || than === undefined) return undefined;
  if (value >= than * step) return 'faster';
  return than >= value * step ? 'slower' : 'equal';
}

/** Whether the latency alone is a step above the other's, by figures of one source. */
export function isStepSlower(figures: NodePerformance | undefined, than: NodePerformance | undefined): boolean {
  if (figures?.readLatencyNs === undefined || than?.readLatencyNs === undefined) return false;
  if (figures.source !== than.source) return false;
  return figures.readLatencyNs >= than.readLatencyNs * latencySteps[figures.source];
}
