import type { EngineState } from '../engine-state.ts';
import type { MigrationState } from '../jobs/migration-job.ts';

/** Something that happened, and what a program may want to know of it; `message` says it to people. */
export type TieringEvent = { readonly message: string } & (
  | { readonly type: 'state'; readonly state: EngineState; readonly before?: EngineState }
  /** The policy was changed; keys such as `promotion.minAccessRate`. */
  | { readonly type: 'policy'; readonly keys: readonly string[] }
  /** Memory came or went; the nodes that there are now. */
  | { readonly type: 'topology'; readonly nodeIds: readonly number[] }
  /** Promotion or demotion out of a node was turned on, off, or lets it reach further. */
  | {
      readonly type: 'decision';
      readonly nodeId: number;
      readonly direction: 'promotion' | 'demotion';
      readonly targetNodeId: number;
      /** Most that one pass may move; 0: off. */
      readonly budgetBytes: number;
    }
  /** A migration by order began or ended. */
  | {
      readonly type: 'migration';
      readonly migrationId: number;
      readonly state: MigrationState;
      readonly movedBytes: number;
      readonly failedBytes: number;
    }
  /** Something is not as it should be. */
  | { readonly type: 'warning'; readonly severity: 'warning' | 'error' }
);

export type EventType = TieringEvent['type'];

/** Tells of an event. */
export type Tell = (event: TieringEvent) => void;

/** An event as it is kept. */
export type RecordedEvent = TieringEvent & {
  /** 1, 2, 3 and so on since the daemon started. */
  readonly sequence: number;
  /** ISO 8601. */
  readonly at: string;
};
