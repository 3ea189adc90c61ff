/**
 * How many bytes of a node are how hot. Heat is the share of samples that saw an access, 0 to 1, in `bytes.length` classes of equal width; a class holds
 * what lies from its number up to the next, divided by how many there are.
 */
export interface HeatHistogram {
  /** What the heat most likely is. */
  readonly likely: readonly number[];
  /** What it is at least, for all that the samples so far can tell. */
  readonly atLeast: readonly number[];
  /** What it is at most. */
  readonly atMost: readonly number[];
  /** Bytes times heat, by the newest aggregation alone. */
  readonly seenHeatBytes: number;
  /** Length of a sample: what the shares are shares of. */
  readonly samplingIntervalMs: number;
}

export const HEAT_CLASSES = 128;

/** The class of a share of samples. */
export function heatClass(share: number): number {
  return Math.min(HEAT_CLASSES - 1, Math.max(0, Math.floor(share * HEAT_CLASSES)));
}

/** The least share of samples in a class. */
export function shareOfClass(heat: number): number {
  return heat / HEAT_CLASSES;
}

/** Bytes in the classes from `from` up. */
export function bytesFrom(bytes: readonly number[], from: number): number {
  let sum = 0;
  for (let heat = Math.max(0, from); heat < bytes.length; heat += 1) sum += bytes[heat] ?? 0;
  return sum;
}
