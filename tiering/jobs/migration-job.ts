/** Whose memory is moved: one process, or every process of a cgroup and of those below it (a path from the cgroup mount). */
export type MigrationTarget = { readonly pid: number } | { readonly cgroup: string };

/** What a one-shot migration is to do. */
export interface MigrationOrder {
  readonly target: MigrationTarget;
  /** Ids of the nodes that memory leaves. */
  readonly from: readonly number[];
  /** Id of the node that it goes to; not one of `from`. */
  readonly to: number;
  readonly maxBytesPerSecond: number;
}

/** `queued`: others go before it; `failed`: it could not go on, see its message; `cancelled`: stopped between two batches. */
export type MigrationState = 'queued' | 'running' | 'done' | 'cancelled' | 'failed';

/** Bytes that did not move, and why. */
export interface MigrationFailure {
  readonly reason: string;
  /** The kernel's word for it. */
  readonly errno: string;
  readonly bytes: number;
}

/** A one-shot migration as it stands. */
export interface MigrationJob extends MigrationOrder {
  readonly id: number;
  readonly state: MigrationState;
  /** ISO 8601, like the other times. */
  readonly createdAt: string;
  readonly startedAt?: string;
  readonly endedAt?: string;
  /** `gone`: those that exited before all of their memory was looked at. */
  readonly processes: { readonly seen: number; readonly gone: number };
  /** Virtual memory looked at, without what is known to be empty. */
  readonly scannedBytes: number;
  /** On `from` when each process was first seen; an estimate, since processes share memory, map and unmap. */
  readonly totalBytes: number;
  /** Were on `from`, are on `to`. */
  readonly movedBytes: number;
  readonly failedBytes: number;
  readonly failures: readonly MigrationFailure[];
  /** Moved bytes a second, over the whole run. */
  readonly bytesPerSecond: number;
  /** Share of totalBytes that has been dealt with; 1 once done. */
  readonly progress: number;
  /** What there is to say in words: why it failed, what stayed, what is under way. */
  readonly message?: string;
}

/** One-shot migrations, as the REST API sees them. */
export interface MigrationService {
  /**
   * Puts a migration in the queue: it begins when those before it have ended, or have run for a while. Throws MigrationTargetError when there is no such process or cgroup,
   * MigrationQueueFullError.
   */
  create(order: MigrationOrder): Promise<MigrationJob>;
  /** All that wait, run, and ended lately, by ascending id. */
  list(): readonly MigrationJob[];
  get(id: number): MigrationJob | undefined;
  /**
   * Stops a migration between two batches and resolves with it once it has stopped. One that had ended already is taken off
   * the list. Undefined when there is none of this id.
   */
  cancel(id: number): Promise<MigrationJob | undefined>;
}
