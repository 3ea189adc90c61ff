import type { Tell } from './events/event.ts';
import type { Logger } from './logger.ts';
import type { Policy } from './policy.ts';
import type { Directed, NodeOrders, Order } from './tuner/order.ts';

type Direction = 'promotion' | 'demotion';

/** What was last decided for a direction out of a node. */
interface Decided {
  readonly mode: string;
  readonly targetNodeId: number;
}

/** One readable line for every decision that changes what memory may move: which scheme, from what to what, why. */
export class DecisionLog {
  readonly #logger: Logger;
  readonly #tell: Tell;
  readonly #last = new Map<string, Decided>();

  constructor(logger: Logger, tell: Tell) {
    this.#logger = logger;
    this.#tell = tell;
  }

  /** Tells what differs from the orders before, turning on, off, reaching further or going elsewhere; logs another budget at `debug`. */
  record(orders: readonly NodeOrders[]): void {
    for (const order of orders) {
      this.#recordOne(order.nodeId, 'promotion', order.promotion);
      this.#recordOne(order.nodeId, 'demotion', order.demotion, order.demotion?.reach);
    }
  }

  #recordOne(nodeId: number, direction: Direction, order: (Order & Directed) | undefined, reach = ''): void {
    if (order === undefined) return;
    const { targetNodeId, budgetBytes } = order;
    const from = `${direction} node ${nodeId}`;
    const mode = budgetBytes === 0 ? 'off' : `on${reach === '' ? '' : ` (${reach})`}`;
    const before = this.#last.get(from) ?? { mode: 'off', targetNodeId };
    this.#last.set(from, { mode, targetNodeId });
    const budget = `${Math.round(budgetBytes / 1024 / 1024)} MiB a pass`;
    const wentElsewhere = before.mode !== 'off' && before.targetNodeId !== targetNodeId;
    if (mode !== before.mode || (mode !== 'off' && wentElsewhere)) {
      this.#tell({
        type: 'decision',
        nodeId,
        direction,
        targetNodeId,
        budgetBytes,
        message: `${from} -> ${targetNodeId}: ${before.mode}${wentElsewhere ? ` to ${before.targetNodeId}` : ''} -> ${mode}, ${budget}: ${order.reason}`,
      });
    } else if (mode !== 'off')
      this.#logger.debug({}, `${from} -> ${targetNodeId}: ${mode}, ${budget}: ${order.reason}`);
  }
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
