import type { Topology } from '../../numa/topology.ts';
import type { EngineName } from '../engine.ts';
import type { EngineState } from '../engine-state.ts';
import type { Observation } from '../observation.ts';
import type { Policy } from '../policy.ts';
import type { ResolvedScope } from '../resolved-scope.ts';
import { NO_SCOPE } from '../resolved-scope.ts';
import type { DamonFeatures } from '../scheme.ts';
import { looksAtPages } from '../scheme.ts';
import type { Heartbeat } from '../service.ts';
import type { NodeOrders } from '../tuner/order.ts';
import { isOn } from '../tuner/order.ts';
import type { PageSight } from '../tuner/page-rounds.ts';
import type { TunerState, Tuning } from '../tuner/tune.ts';
import { FRESH_TUNER } from '../tuner/tune.ts';
import type { DecisionClock } from './decision-clock.ts';
import { FRESH_CLOCK } from './decision-clock.ts';
import type { DecisionModes } from './decision-log.ts';

/** All that the loop remembers; a plain value. Times are CLOCK_MONOTONIC, in milliseconds. */
export interface LoopState {
  readonly policy: Policy;
  readonly topology: Topology;
  /** From when it is known what the kernel can do. */
  readonly engine: { readonly name: EngineName; readonly features: DamonFeatures } | undefined;
  /** Of one kdamond, as the trace buffers hold them with this host's CPUs. */
  readonly mostRegions: number;
  /** What was told of the machine: nodes left alone, odd figures. */
  readonly toldOfMachine: readonly string[];
  readonly scope: ResolvedScope;
  readonly clock: DecisionClock;
  readonly tuner: TunerState;
  /** What the tuner gave last, with the orders that hold now. */
  readonly tuning: Omit<Tuning, 'state'> | undefined;
  readonly observation: Observation | undefined;
  readonly modes: DecisionModes;
  /** While a decision is being carried out: when it began. */
  readonly decidingSinceMs: number | undefined;
  /** What keeps the engine from working. */
  readonly problem: string | undefined;
  /** What is wrong with single nodes or with the trace. */
  readonly nodeProblem: string | undefined;
  /** Nodes that nothing is seen of although it should be. */
  readonly blindNodeIds: readonly number[];
  /** Ticks in a row that failed. */
  readonly failedTicks: number;
  /** Why DAMON has been left to others. */
  readonly aside: string | undefined;
  /** While it starts: who has DAMON. */
  readonly waitingFor: string | undefined;
  readonly pausedSince: Date | undefined;
  readonly isReady: boolean;
  readonly isStopped: boolean;
  readonly heartbeat: Heartbeat;
  /** The newest state that was told of. */
  readonly toldState: EngineState | undefined;
}

/** Of a loop that has not been told anything. */
export function initialState(policy: Policy, pausedSince: Date | undefined): LoopState {
  return {
    policy,
    topology: { nodes: [], tiers: [], tierSource: 'kernel', paths: [] },
    engine: undefined,
    mostRegions: Number.POSITIVE_INFINITY,
    toldOfMachine: [],
    scope: NO_SCOPE,
    clock: FRESH_CLOCK,
    tuner: FRESH_TUNER,
    tuning: undefined,
    observation: undefined,
    modes: new Map(),
    decidingSinceMs: undefined,
    problem: undefined,
    nodeProblem: undefined,
    blindNodeIds: [],
    failedTicks: 0,
    aside: undefined,
    waitingFor: undefined,
    pausedSince,
    isReady: false,
    isStopped: false,
    heartbeat: {
      ticks: 0,
      decisions: 0,
      lastTickAtMs: undefined,
      lastDecisionAtMs: undefined,
      lastDecisionMs: undefined,
    },
    toldState: undefined,
  };
}

/** The orders that hold now. */
export function ordersOf({ tuning }: LoopState): readonly NodeOrders[] {
  return tuning?.orders ?? [];
}

/** What the engine can do about single pages: DAMON's schemes have the young filter for it. */
export function pageSightOf(engine: LoopState['engine']): PageSight {
  if (engine?.name !== 'damos' || !looksAtPages(engine.features)) return 'none';
  return engine.features.filterPassedBytes ? 'counts' : 'clears';
}

/** What is wrong, for people. */
export function problemOf({ aside, problem, nodeProblem }: LoopState): string | undefined {
  return aside ?? problem ?? nodeProblem;
}

/** What the daemon is doing, in a word. */
export function engineState(state: LoopState): EngineState {
  if (state.isStopped) return 'stopped';
  if (state.aside !== undefined) return 'aside';
  if (problemOf(state) !== undefined) return 'degraded';
  if (!state.isReady) return 'starting';
  if (state.pausedSince !== undefined) return 'paused';
  return ordersOf(state).some((order) => isOn(order)) ? 'moving' : 'settled';
}
