import type { NodeSnapshot } from '../snapshot.ts';

/**
 * A decision needs a snapshot from after the pass that followed the last commit. Linux 6.12 takes a commit at the end of an aggregation and puts the
 * pass off to the next: a snapshot this soon after the commit, in aggregations, cannot show the pass.
 */
const SETTLE_SHARE = 0.2;
/** How long late nodes are waited for, in aggregations. */
const LATE_SHARE = 0.75;
/** Sampling intervals end a little late, all of them. */
const SLACK_MS = 20;

/** When a snapshot was taken, and over how long. */
type SnapshotTime = Pick<NodeSnapshot, 'takenAtMs' | 'aggregationIntervalMs'>;

/** What a decision waits for: the nodes that kdamonds watch, and the newest snapshots. */
export interface Watched {
  readonly nodeIds: readonly number[];
  readonly snapshots: ReadonlyMap<number, SnapshotTime>;
}

/** When the next decision is due, from when snapshots were taken and kdamonds changed. All times are CLOCK_MONOTONIC, in milliseconds. */
export interface DecisionClock {
  /** By node: when its kdamond took the last change. */
  readonly appliedAtMs: ReadonlyMap<number, number>;
  /** By node: when the snapshot of the last decision was taken. */
  readonly decidedOnMs: ReadonlyMap<number, number>;
  /** When the newest of the snapshots was taken that the next decision could first have gone by. */
  readonly freshSinceMs: number | undefined;
}

export const FRESH_CLOCK: DecisionClock = { appliedAtMs: new Map(), decidedOnMs: new Map(), freshSinceMs: undefined };

/** A node's kdamond has taken a change. */
export function applied(clock: DecisionClock, nodeId: number, nowMs: number): DecisionClock {
  return { ...clock, appliedAtMs: new Map([...clock.appliedAtMs, [nodeId, nowMs]]) };
}

/** A decision is made on these snapshots. */
export function decided(clock: DecisionClock, snapshots: Watched['snapshots']): DecisionClock {
  const taken = [...snapshots].map(([nodeId, { takenAtMs }]) => [nodeId, takenAtMs] as const);
  return { ...clock, freshSinceMs: undefined, decidedOnMs: new Map([...clock.decidedOnMs, ...taken]) };
}

/** Due when every node has a snapshot from after its last change, or one has and the others are late. */
export function lookAtClock(
  clock: DecisionClock,
  { nodeIds, snapshots }: Watched,
  aggregationIntervalMs: number,
  nowMs: number,
): { readonly clock: DecisionClock; readonly isDue: boolean } {
  const fresh = nodeIds.filter((nodeId) => isFresh(clock, nodeId, snapshots.get(nodeId)));
  if (fresh.length === 0) return { clock: { ...clock, freshSinceMs: undefined }, isDue: false };
  if (fresh.length === nodeIds.length) return { clock, isDue: true };
  // Newer ones of the same nodes do not make the others less late.
  const newestMs = Math.max(...fresh.map((nodeId) => snapshots.get(nodeId)?.takenAtMs ?? 0));
  const freshSinceMs = clock.freshSinceMs ?? newestMs;
  // A node that was just changed is late only once the pass that followed could have been.
  const expectedMs = Math.max(
    freshSinceMs,
    ...nodeIds.map((nodeId) => (clock.appliedAtMs.get(nodeId) ?? 0) + aggregationIntervalMs),
  );
  return { clock: { ...clock, freshSinceMs }, isDue: nowMs - expectedMs > LATE_SHARE * aggregationIntervalMs };
}

/**
 * Until the next aggregation should be over; then often, as a kdamond that migrates is late. Waking up is nearly all that an idle daemon costs.
 */
export function untilNextLookMs({ nodeIds, snapshots }: Watched, aggregationIntervalMs: number, nowMs: number): number {
  const often = Math.min(200, Math.max(20, aggregationIntervalMs / 8));
  const due = nodeIds.map((nodeId) => (snapshots.get(nodeId)?.takenAtMs ?? nowMs) + aggregationIntervalMs);
  const untilDueMs = Math.max(nowMs, ...due) - nowMs + SLACK_MS;
  return Math.min(aggregationIntervalMs + SLACK_MS, Math.max(often, untilDueMs));
}

function isFresh(clock: DecisionClock, nodeId: number, snapshot: SnapshotTime | undefined): boolean {
  if (snapshot === undefined || snapshot.takenAtMs <= (clock.decidedOnMs.get(nodeId) ?? 0)) return false;
  const appliedAtMs = clock.appliedAtMs.get(nodeId) ?? Number.NEGATIVE_INFINITY;
  return snapshot.takenAtMs >= appliedAtMs + SETTLE_SHARE * snapshot.aggregationIntervalMs;
}
