const MIB = 1024 * 1024;
const MIN_STEP_BYTES = 8 * MIB;
const FIRST_STEP_BYTES = 64 * MIB;

/** A pass that delays the next aggregation by more than this share was too large: the kdamond migrates and cannot watch meanwhile. */
const LATE_FACTOR = 1.8;

/** How many bytes one pass of a scheme may take: grows while passes are used up in time, halves when a pass keeps the kdamond from watching. */
export interface Pace {
  readonly stepBytes: number;
  readonly lastSnapshotAtMs: number | undefined;
}

/** A pace to start from, `maxBytesPerPass` being the bandwidth limit times the aggregation interval. */
export function firstPace(totalBytes: number, maxBytesPerPass: number): Pace {
  return {
    stepBytes: Math.min(maxBytesPerPass, Math.max(FIRST_STEP_BYTES, totalBytes / 1024)),
    lastSnapshotAtMs: undefined,
  };
}

export interface PassObservation {
  /** When the newest snapshot was taken, kernel's monotonic clock. */
  readonly snapshotAtMs: number | undefined;
  /** When the snapshot before it was taken, even if no tick saw that one. */
  readonly previousSnapshotAtMs: number | undefined;
  readonly aggregationIntervalMs: number;
  readonly budgetBytes: number;
  readonly triedBytes: number;
  readonly maxBytesPerPass: number;
}

/** The pace after a tick: additive-increase is too slow for a shift of gigabytes, so it grows by half and falls by half. */
export function nextPace(pace: Pace, pass: PassObservation): Pace {
  if (pass.snapshotAtMs === undefined || pass.snapshotAtMs === pace.lastSnapshotAtMs) return clampPace(pace, pass);
  // A decision may skip snapshots: what took long is the last aggregation, not the time between decisions.
  const previousAtMs = pass.previousSnapshotAtMs ?? pace.lastSnapshotAtMs;
  const elapsedMs = previousAtMs === undefined ? pass.aggregationIntervalMs : pass.snapshotAtMs - previousAtMs;
  let { stepBytes } = pace;
  if (pass.triedBytes > 0) {
    if (elapsedMs > LATE_FACTOR * pass.aggregationIntervalMs) stepBytes /= 2;
    else if (pass.budgetBytes >= stepBytes && pass.triedBytes >= 0.9 * pass.budgetBytes) stepBytes *= 1.5;
  }
  return clampPace({ stepBytes, lastSnapshotAtMs: pass.snapshotAtMs }, pass);
}

function clampPace(pace: Pace, { maxBytesPerPass }: Pick<PassObservation, 'maxBytesPerPass'>): Pace {
  const lowest = Math.min(MIN_STEP_BYTES, maxBytesPerPass);
  return { ...pace, stepBytes: Math.min(maxBytesPerPass, Math.max(lowest, pace.stepBytes)) };
}
