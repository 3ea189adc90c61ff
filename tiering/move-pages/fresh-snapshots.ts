import type { NodeSnapshot } from '../snapshot.ts';

/** Snapshots come at the end of an aggregation; until then nobody looks more often. */
const LOOK_EVERY_MS = 50;

export interface FreshSnapshotsOptions {
  /** CLOCK_MONOTONIC in milliseconds. */
  readonly nowMs: () => number;
  /** Newest snapshots by node, as far as drain() has taken them in. */
  readonly snapshots: ReadonlyMap<number, NodeSnapshot>;
  readonly drain: () => Promise<void>;
}

/** Snapshots between two ticks: takes in the trace when a node's next aggregation should be over, and no more often than that can give something. */
export class FreshSnapshots {
  readonly #options: FreshSnapshotsOptions;
  #drainedAtMs = Number.NEGATIVE_INFINITY;

  constructor(options: FreshSnapshotsOptions) {
    this.#options = options;
  }

  /** The newest of a node. Throws what drain() throws. */
  async of(nodeId: number): Promise<NodeSnapshot | undefined> {
    const { nowMs, snapshots, drain } = this.#options;
    const known = snapshots.get(nodeId);
    const dueAtMs = known === undefined ? 0 : known.takenAtMs + known.aggregationIntervalMs;
    if (nowMs() < Math.max(dueAtMs, this.#drainedAtMs + LOOK_EVERY_MS)) return known;
    this.#drainedAtMs = nowMs();
    await drain();
    return snapshots.get(nodeId);
  }
}
