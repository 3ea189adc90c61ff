import type { EngineName, PageAccounts } from '../engine.ts';
import { describeUnmatched } from '../resolved-scope.ts';
import type { Status } from '../service.ts';
import { regionLimitOf } from './desired-kdamonds.ts';
import type { LoopState } from './state.ts';
import { engineState, ordersOf, problemOf } from './state.ts';
import { nodeStatuses } from './status-view.ts';

/** What the loop does not know itself. */
export interface StatusFacts
  extends Pick<
    Status,
    | 'uptimeSeconds'
    | 'promotedBytes'
    | 'demotedBytes'
    | 'promotedBytesPerSecond'
    | 'demotedBytesPerSecond'
    | 'traceLosses'
  > {
  /** As the operator asked for it. */
  readonly wantedEngine: EngineName | 'auto';
  readonly startedAt: Date;
  readonly receiptProblem: string | undefined;
  readonly accounts: PageAccounts | undefined;
}

/** The status as an operator sees it. */
export function statusOf(state: LoopState, facts: StatusFacts): Status {
  const { policy, topology, observation, tuning, pausedSince, waitingFor } = state;
  const { wantedEngine, startedAt, receiptProblem, accounts, ...counted } = facts;
  const problem = problemOf(state);
  const scopeProblem = describeUnmatched(state.scope);
  const regionLimit = regionLimitOf(state);
  return {
    state: engineState(state),
    ...(problem !== undefined && { problem }),
    ...(receiptProblem !== undefined && { receiptProblem }),
    ...(scopeProblem !== undefined && { scopeProblem }),
    ...(waitingFor !== undefined && { waitingFor }),
    ...(regionLimit !== undefined && { regionLimit }),
    engine: state.engine?.name ?? wantedEngine,
    dryRun: policy.dryRun,
    ...(pausedSince && { pausedSince: pausedSince.toISOString() }),
    startedAt: startedAt.toISOString(),
    nodes: nodeStatuses(topology, policy, observation, ordersOf(state)),
    ...counted,
    hotBytesWaiting: tuning?.hotBytesWaiting ?? 0,
    pingPongBytes: accounts?.pingPongBytes ?? tuning?.pingPongBytes ?? 0,
    ...(accounts && { pages: accounts }),
  };
}
