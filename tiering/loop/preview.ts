import type { Policy } from '../policy.ts';
import type { ResolvedScope } from '../resolved-scope.ts';
import { describeUnmatched } from '../resolved-scope.ts';
import type { PolicyPlans } from '../service.ts';
import { tune } from '../tuner/tune.ts';
import { desiredKdamonds } from './desired-kdamonds.ts';
import type { LoopState } from './state.ts';
import { ordersOf, pageSightOf } from './state.ts';

/** The kdamonds as they are and as they would be with another policy, for the same observation. */
export function previewPolicy(state: LoopState, policy: Policy, scope: ResolvedScope): PolicyPlans {
  const { tuner, observation, topology, pausedSince } = state;
  const orders =
    observation === undefined || pausedSince !== undefined
      ? []
      : tune(tuner, observation, topology, policy, pageSightOf(state.engine)).orders;
  const scopeProblem = state.engine === undefined ? undefined : describeUnmatched(scope);
  return {
    before: desiredKdamonds(state, ordersOf(state)),
    after: desiredKdamonds({ ...state, policy, scope }, orders),
    ...(scopeProblem !== undefined && { scopeProblem }),
  };
}
