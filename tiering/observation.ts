import type { HeatHistogram } from './heat/heat-histogram.ts';
import type { NodeSnapshot } from './snapshot.ts';

/** What one tick knows of one memory node. */
export interface NodeObservation {
  readonly nodeId: number;
  readonly totalBytes: number;
  readonly freeBytes: number;
  /** Memory of programs and files, which can move; the rest that is used is the kernel's own. Undefined: not known. */
  readonly movableBytes?: number;
  /** Below it migrations into the node fail without a word. */
  readonly highWatermarkBytes: number;
  /** Newest snapshot; undefined until the first aggregation. */
  readonly snapshot?: NodeSnapshot;
  /** What the snapshots so far tell of its heat; there whenever a snapshot is. */
  readonly heat?: HeatHistogram;
  /** Bytes really moved up / down out of this node since the last tick. */
  readonly promotedBytes: number;
  readonly demotedBytes: number;
  /** Bytes the schemes tried to move since the last tick: moved, plus free, unmovable, filtered and failed. */
  readonly promotionTriedBytes: number;
  readonly demotionTriedBytes: number;
  /** Of what was looked at page by page since the last tick, and of it what had been touched since the look before (Linux 6.14). */
  readonly lookedBytes?: number;
  readonly youngBytes?: number;
  /** How long moving them took; undefined: as much as the newest snapshot came late. */
  readonly promotionMs?: number;
  readonly demotionMs?: number;
}

/** Used memory that cannot move, the kernel's own; 0 when the kernel does not tell. */
export function kernelBytesOf({ totalBytes, freeBytes, movableBytes }: NodeObservation): number {
  return movableBytes === undefined ? 0 : totalBytes - freeBytes - movableBytes;
}

export interface Observation {
  /** Monotonic. */
  readonly nowMs: number;
  readonly nodes: readonly NodeObservation[];
}
