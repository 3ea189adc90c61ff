import { plan, planWatching } from '../plan.ts';
import type { LimitedKdamonds } from '../region-limit.ts';
import { limitRegions } from '../region-limit.ts';
import type { DesiredKdamond } from '../scheme.ts';
import type { NodeOrders } from '../tuner/order.ts';
import type { LoopState } from './state.ts';

/** The kdamonds for these orders: with damos they migrate, with move_pages they only watch. None until the engine is chosen. */
export function desiredKdamonds(state: LoopState, orders: readonly NodeOrders[]): readonly DesiredKdamond[] {
  const { engine, topology, policy, scope } = state;
  if (engine === undefined) return [];
  const input = { topology, policy, features: engine.features, scope, orders };
  return limited(state, engine.name === 'damos' ? plan(input) : planWatching(input)).kdamonds;
}

/** What had to be less than asked for, in words; undefined: nothing. */
export function regionLimitOf(state: LoopState): string | undefined {
  const { engine, topology, policy, scope } = state;
  if (engine === undefined) return undefined;
  return limited(state, planWatching({ topology, policy, features: engine.features, scope, orders: [] })).limit;
}

function limited({ mostRegions }: LoopState, kdamonds: readonly DesiredKdamond[]): LimitedKdamonds {
  return limitRegions(kdamonds, mostRegions);
}

/** The kdamonds while nothing may move. */
export function idleKdamonds(state: LoopState): readonly DesiredKdamond[] {
  return desiredKdamonds(state, []);
}
