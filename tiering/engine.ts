import type { ProbedFeatures } from './damon/features.ts';
import type { Flow } from './flow-ledger.ts';
import type { PlanInput } from './plan.ts';
import type { NodeSnapshot } from './snapshot.ts';

export const ENGINE_NAMES = ['damos', 'move_pages'] as const;
export type EngineName = (typeof ENGINE_NAMES)[number];

/** What carries out the tuner's orders. */
export interface Engine {
  readonly name: EngineName;
  /** Throws a typed error (`code`) when this kernel, or this process, lacks what the engine needs. */
  prepare(features: ProbedFeatures): Promise<void>;
  /** Brings what the last orders started to an end, or notes how far it has come; gives what has moved since the last call, by the node that it left. */
  settle(nowMs: number): Promise<ReadonlyMap<number, Flow>>;
  /** Lets orders move memory from now on; kdamonds are brought to them afterwards. */
  serve(input: PlanInput, snapshots: ReadonlyMap<number, NodeSnapshot>): Promise<void>;
  /** The operator wants something else: what is under way ends, and what was learned about single pages holds no longer. */
  policyChanged(): void;
  /** What it did with single pages, for engines that know. */
  accounts(): PageAccounts | undefined;
  stop(): Promise<void>;
}

/** Every move accounted for, since start. */
export interface PageAccounts {
  readonly movedBytes: number;
  /** Bytes that did not move, by errno name such as `EBUSY`. */
  readonly failedBytes: Readonly<Record<string, number>>;
  /** Bytes that were not moved because they had been moved the other way shortly before. */
  readonly heldBackBytes: number;
  /** Bytes that were moved back later than that, yet soon. */
  readonly pingPongBytes: number;
  /** Memory that knowing the processes' page maps takes. */
  readonly pageMapBytes: number;
  /** Processes of which nothing moves, as when their memory is pinned: they are left alone, for longer each time. Some of them where they are many. */
  readonly stuckPids: readonly number[];
}
