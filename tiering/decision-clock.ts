import type { NodeSnapshot } from './snapshot.ts';

/**
 * A decision needs a snapshot from after the pass that followed the last commit. Linux 6.12 takes a commit at the end of an aggregation and puts the
 * pass off to the next: a snapshot this soon after the commit, in aggregations, cannot show the pass.
 */
const SETTLE_SHARE = 0.2;
/** How long late nodes are waited for, in aggregations. */
const LATE_SHARE = 0.75;
/** Sampling intervals end a little late, all of them. */
const SLACK_MS = 20;

type Snapshots = ReadonlyMap<number, NodeSnapshot>;

/** When the next decision is due, from when snapshots were taken and kdamonds changed. All times are CLOCK_MONOTONIC, in milliseconds. */
export class DecisionClock {
  /** By node: when its kdamond took the last change. */
  readonly #appliedAtMs = new Map<number, number>();
  /** By node: when the snapshot of the last decision was taken. */
  readonly #decidedOnMs = new Map<number, number>();

  /** When the newest of the snapshots was taken that the next decision could first have gone by. */
  #freshSinceMs: number | undefined;

  /** A node's kdamond has taken a change. */
  applied(nodeId: number, nowMs: number): void {
    this.#appliedAtMs.set(nodeId, nowMs);
  }

  /** A decision is made on these snapshots. */
  decided(snapshots: Snapshots): void {
    this.#freshSinceMs = undefined;
    for (const [nodeId, snapshot] of snapshots) this.#decidedOnMs.set(nodeId, snapshot.takenAtMs);
  }

  /** Due when every node has a snapshot from after its last change, or one has and the others are late. */
  isDue(nodeIds: readonly number[], snapshots: Snapshots, aggregationIntervalMs: number, nowMs: number): boolean {
    const fresh = nodeIds.filter((nodeId) => this.#isFresh(nodeId, snapshots.get(nodeId)));
    if (fresh.length === 0) {
      this.#freshSinceMs = undefined;
      return false;
    }
    if (fresh.length === nodeIds.length) return true;
    // Newer ones of the same nodes do not make the others less late.
    this.#freshSinceMs ??= Math.max(...fresh.map((nodeId) => snapshots.get(nodeId)?.takenAtMs ?? 0));
    // A node that was just changed is late only once the pass that followed could have been.
    const expectedMs = Math.max(
      this.#freshSinceMs,
      ...nodeIds.map((nodeId) => (this.#appliedAtMs.get(nodeId) ?? 0) + aggregationIntervalMs),
    );
    return nowMs - expectedMs > LATE_SHARE * aggregationIntervalMs;
  }

  /**
   * Until the next aggregation should be over; then often, as a kdamond that migrates is late. Waking up is nearly all that an idle daemon costs.
   */
  untilNextLookMs(
    nodeIds: readonly number[],
    snapshots: Snapshots,
    aggregationIntervalMs: number,
    nowMs: number,
  ): number {
    const often = Math.min(200, Math.max(20, aggregationIntervalMs / 8));
    const due = nodeIds.map((nodeId) => (snapshots.get(nodeId)?.takenAtMs ?? nowMs) + aggregationIntervalMs);
    const untilDueMs = Math.max(nowMs, ...due) - nowMs + SLACK_MS;
    return Math.min(aggregationIntervalMs + SLACK_MS, Math.max(often, untilDueMs));
  }

  #isFresh(nodeId: number, snapshot: NodeSnapshot | undefined): boolean {
    if (snapshot === undefined || snapshot.takenAtMs <= (this.#decidedOnMs.get(nodeId) ?? 0)) return false;
    const appliedAtMs = this.#appliedAtMs.get(nodeId) ?? Number.NEGATIVE_INFINITY;
    return snapshot.takenAtMs >= appliedAtMs + SETTLE_SHARE * snapshot.aggregationIntervalMs;
  }
}
