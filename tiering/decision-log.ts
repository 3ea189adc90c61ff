import type { Tell } from './events/event.ts';
import type { Logger } from './logger.ts';
import type { Policy } from './policy.ts';
import type { NodeOrders, Order } from './tuner/order.ts';

type Direction = 'promotion' | 'demotion';

/** One readable line for every decision that changes what memory may move: which scheme, from what to what, why. */
export class DecisionLog {
  readonly #logger: Logger;
  readonly #tell: Tell;
  readonly #last = new Map<string, string>();

  constructor(logger: Logger, tell: Tell) {
    this.#logger = logger;
    this.#tell = tell;
  }

  /** Tells what differs from the orders before, turning on, off or reaching further; logs another budget at `debug`. */
  record(orders: readonly NodeOrders[], targets: (nodeId: number, direction: Direction) => number | undefined): void {
    for (const order of orders) {
      this.#recordOne(order.nodeId, 'promotion', order.promotion, targets(order.nodeId, 'promotion'));
      this.#recordOne(
        order.nodeId,
        'demotion',
        order.demotion,
        targets(order.nodeId, 'demotion'),
        order.demotion?.reach,
      );
    }
  }

  #recordOne(nodeId: number, direction: Direction, order: Order | undefined, targetNid?: number, reach = ''): void {
    if (order === undefined) return;
    const key = `${direction} node ${nodeId} -> ${targetNid}`;
    const mode = order.budgetBytes === 0 ? 'off' : `on${reach === '' ? '' : ` (${reach})`}`;
    const before = this.#last.get(key) ?? 'off';
    this.#last.set(key, mode);
    const budget = `${Math.round(order.budgetBytes / 1024 / 1024)} MiB a pass`;
    if (mode !== before) {
      this.#tell({
        type: 'decision',
        nodeId,
        direction,
        ...(targetNid !== undefined && { targetNodeId: targetNid }),
        budgetBytes: order.budgetBytes,
        message: `${key}: ${before} -> ${mode}, ${budget}: ${order.reason}`,
      });
    } else if (mode !== 'off') this.#logger.debug({}, `${key}: ${mode}, ${budget}: ${order.reason}`);
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
