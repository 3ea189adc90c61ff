import type { Policy } from '../policy.ts';
import type { Directed, NodeOrders, Order } from '../tuner/order.ts';
import type { Effect } from './effect.ts';

type Direction = 'promotion' | 'demotion';

/** What was last decided for a direction out of a node. */
interface Decided {
  readonly mode: string;
  readonly targetNodeId: number;
}

/** By direction and node. */
export type DecisionModes = ReadonlyMap<string, Decided>;

/**
 * One readable line for every decision that changes what memory may move: which scheme, from what to what, why. An event when it turns on, off, reaches
 * further or goes elsewhere; another budget is logged at `debug`.
 */
export function tellDecisions(
  before: DecisionModes,
  orders: readonly NodeOrders[],
): { readonly modes: DecisionModes; readonly effects: readonly Effect[] } {
  const modes = new Map(before);
  const effects = orders.flatMap(({ nodeId, promotion, demotion }) => [
    ...tellOne(modes, nodeId, 'promotion', promotion),
    ...tellOne(modes, nodeId, 'demotion', demotion, demotion?.reach),
  ]);
  return { modes, effects };
}

function tellOne(
  modes: Map<string, Decided>,
  nodeId: number,
  direction: Direction,
  order: (Order & Directed) | undefined,
  reach = '',
): readonly Effect[] {
  if (order === undefined) return [];
  const { targetNodeId, budgetBytes } = order;
  const from = `${direction} node ${nodeId}`;
  const mode = budgetBytes === 0 ? 'off' : `on${reach === '' ? '' : ` (${reach})`}`;
  const before = modes.get(from) ?? { mode: 'off', targetNodeId };
  modes.set(from, { mode, targetNodeId });
  const budget = `${Math.round(budgetBytes / 1024 / 1024)} MiB a pass`;
  const wentElsewhere = before.mode !== 'off' && before.targetNodeId !== targetNodeId;
  if (mode !== before.mode || (mode !== 'off' && wentElsewhere)) {
    const message = `${from} -> ${targetNodeId}: ${before.mode}${wentElsewhere ? ` to ${before.targetNodeId}` : ''} -> ${mode}, ${budget}: ${order.reason}`;
    return [{ type: 'tell', event: { type: 'decision', nodeId, direction, targetNodeId, budgetBytes, message } }];
  }
  if (mode === 'off') return [];
  const message = `${from} -> ${targetNodeId}: ${mode}, ${budget}: ${order.reason}`;
  return [{ type: 'log', level: 'debug', message }];
}

/** The keys of a policy that differ, as `key: before -> after`. */
export function policyChanges(before: Policy, after: Policy): readonly string[] {
  const flat = (value: unknown, path: string): readonly (readonly [string, string])[] =>
    typeof value === 'object' && value !== null && !Array.isArray(value)
      ? Object.entries(value).flatMap(([key, child]) => flat(child, path === '' ? key : `${path}.${key}`))
      : [[path, JSON.stringify(value)]];
  const old = new Map(flat(before, ''));
  return flat(after, '').flatMap(([path, value]) =>
    old.get(path) === value ? [] : [`${path}: ${old.get(path)} -> ${value}`],
  );
}
