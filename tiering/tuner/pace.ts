const MIB = 1024 * 1024;
const MIN_STEP_BYTES = 16 * MIB;
const FIRST_STEP_BYTES = 64 * MIB;

/** While a kdamond migrates it does not watch: passes shall take no more than this share of an aggregation. */
const PASS_SHARE = 0.75;
/** Passes that moved less say little about how fast the machine copies. */
const SIGNIFICANT_BYTES = 4 * MIB;
/** A pass that moved less than this share of a step and yet was late was held up by something else. */
const SLOWING_SHARE = 0.4;
/** At most by this factor from pass to pass: one slow pass may be someone else's doing. */
const MAX_CHANGE = 2;

/** How many bytes one pass of a scheme may take, by how fast its passes have been. */
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
  /** How long moving took, for engines that know; undefined: as much as the snapshot came late. */
  readonly busyMs?: number | undefined;
  /** What the pass was to move. */
  readonly orderedBytes: number;
  /** Bytes that the pass really moved: what is skipped costs next to nothing. */
  readonly movedBytes: number;
  readonly maxBytesPerPass: number;
}

/** Most of the interval was used and hardly anything of the order met: an engine that has just begun to find its pages. */
function isTooMuch({ busyMs = 0, orderedBytes, movedBytes, aggregationIntervalMs }: PassObservation): boolean {
  return busyMs > aggregationIntervalMs / 2 && movedBytes < SIGNIFICANT_BYTES && movedBytes < orderedBytes / 2;
}

/** The engine knows how long it took, and more than the whole interval was too short for its order. */
function isShort({ busyMs = 0, orderedBytes, movedBytes, aggregationIntervalMs }: PassObservation): boolean {
  return busyMs > aggregationIntervalMs && movedBytes < 0.9 * orderedBytes;
}

/**
 * The pace after a tick. A kdamond counts samples, not time, so an aggregation that took longer than its interval took that much longer for
 * migrating: what moved in that time gives the speed, and the speed gives the step that fits.
 */
export function nextPace(pace: Pace, pass: PassObservation): Pace {
  const { snapshotAtMs, aggregationIntervalMs, movedBytes, maxBytesPerPass } = pass;
  const lowest = Math.min(MIN_STEP_BYTES, maxBytesPerPass);
  const clamp = (bytes: number) => Math.min(maxBytesPerPass, Math.max(lowest, bytes));
  if (snapshotAtMs === undefined || snapshotAtMs === pace.lastSnapshotAtMs) {
    return { ...pace, stepBytes: clamp(pace.stepBytes) };
  }
  // A decision may skip snapshots: what took long is the last aggregation, not the time between decisions.
  const previousAtMs = pass.previousSnapshotAtMs ?? pace.lastSnapshotAtMs;
  let { stepBytes } = pace;
  if (isTooMuch(pass)) stepBytes /= MAX_CHANGE;
  if (movedBytes >= SIGNIFICANT_BYTES && previousAtMs !== undefined) {
    const passMs = Math.max(1, pass.busyMs ?? snapshotAtMs - previousAtMs - aggregationIntervalMs);
    const fitting = (movedBytes / passMs) * PASS_SHARE * aggregationIntervalMs;
    const slowest = isShort(pass)
      ? lowest
      : movedBytes >= SLOWING_SHARE * stepBytes
        ? stepBytes / MAX_CHANGE
        : stepBytes;
    stepBytes = Math.min(stepBytes * MAX_CHANGE, Math.max(slowest, fitting));
  }
  return { stepBytes: clamp(stepBytes), lastSnapshotAtMs: snapshotAtMs };
}
