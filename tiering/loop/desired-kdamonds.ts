import type { PlanInput } from '../plan.ts';
import { plan, planWatching } from '../plan.ts';
import type { LimitedKdamonds } from '../region-limit.ts';
import { limitRegions } from '../region-limit.ts';
import type { DamonFeatures, DesiredKdamond } from '../scheme.ts';
import type { Intervals } from '../tuner/intervals.ts';
import { intervalsInForce } from '../tuner/intervals.ts';
import type { NodeOrders } from '../tuner/order.ts';
import type { LoopState } from './state.ts';

/** The kdamonds for these orders: with damos they migrate, with move_pages they only watch. None until the engine is chosen. */
export function desiredKdamonds(state: LoopState, orders: readonly NodeOrders[]): readonly DesiredKdamond[] {
  const { engine } = state;
  if (engine === undefined) return [];
  const input = planInput(state, engine.features, orders);
  return limited(state, engine.name === 'damos' ? plan(input) : planWatching(input)).kdamonds;
}

/** What kdamonds and migrations are made of. */
export function planInput(state: LoopState, features: DamonFeatures, orders: readonly NodeOrders[]): PlanInput {
  const { topology, policy, scope } = state;
  return { topology, policy, features, scope, orders, intervals: intervalsOf(state) };
}

/** How to sample now. */
export function intervalsOf({ policy, tuner }: LoopState): Intervals {
  return intervalsInForce(policy, tuner.intervals);
}

/** What had to be less than asked for, in words; undefined: nothing. */
export function regionLimitOf(state: LoopState): string | undefined {
  const { engine } = state;
  return engine && limited(state, planWatching(planInput(state, engine.features, []))).limit;
}

function limited({ mostRegions }: LoopState, kdamonds: readonly DesiredKdamond[]): LimitedKdamonds {
  return limitRegions(kdamonds, mostRegions);
}

/** The kdamonds while nothing may move. */
export function idleKdamonds(state: LoopState): readonly DesiredKdamond[] {
  return desiredKdamonds(state, []);
}
