import type { Measurement } from './measurement.ts';

/** What was measured of one memory node. */
export interface ProbeResult extends Measurement {
  readonly nodeId: number;
  readonly bufferBytes: number;
  /** Nodes whose CPUs measured. */
  readonly initiatorNodeIds: readonly number[];
  /** ISO 8601. */
  readonly takenAt: string;
}

/** A node that was not measured. */
export interface SkippedNode {
  readonly nodeId: number;
  readonly reason: string;
}

export interface ProbeReport {
  readonly nodes: readonly ProbeResult[];
  readonly skipped: readonly SkippedNode[];
}
