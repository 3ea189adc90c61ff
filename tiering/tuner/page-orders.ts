import type { NodeObservation } from '../observation.ts';
import type { DemotionOrder, Order } from './order.ts';
import type { RoundOrders } from './page-rounds.ts';

interface PlannedOrders {
  readonly promotions: ReadonlyMap<number, Order>;
  readonly demotion: DemotionOrder;
}

/**
 * The orders around one fast node with what the rounds of page looks want: sweeps over single pages take the place of orders by the regions' rates, room is
 * filled with them alone, and made by them alone. Pure.
 */
export function withPageOrders<Plan extends PlannedOrders>(
  plan: Plan,
  wanted: RoundOrders,
  fast: NodeObservation,
): Plan {
  const { demotionBytes, holdsDemotions } = wanted;
  const window = `the last ${Math.round(wanted.windowMs / 1000)} s`;
  return {
    ...plan,
    promotions: new Map(
      [...plan.promotions].map(([nodeId, order]) => {
        const budgetBytes = wanted.promotions?.get(nodeId) ?? (order.isFill === true ? 0 : undefined);
        if (budgetBytes === undefined) return [nodeId, order];
        return [nodeId, { ...sweepOf(fast, budgetBytes), reason: `pages touched within ${window}` }];
      }),
    ),
    ...(demotionBytes !== undefined
      ? { demotion: demotionSweep(fast, demotionBytes, `pages not touched within ${window}, for some that were`) }
      : holdsDemotions
        ? { demotion: demotionSweep(fast, 0, 'what is touched now and then is told apart page by page') }
        : {}),
  };
}

function demotionSweep(fast: NodeObservation, budgetBytes: number, reason: string): DemotionOrder {
  return { ...sweepOf(fast, budgetBytes), reach: 'pages', furthest: 'warm', reason };
}

/** Nodes of a fast node's rounds sample alike. */
function sweepOf({ snapshot }: NodeObservation, budgetBytes: number): Omit<Order, 'reason'> {
  const bounds = { minNrAccesses: 0, maxNrAccesses: snapshot?.maxNrAccesses ?? 0, minAge: 0, checkYoung: true };
  return { budgetBytes, bounds, isSweep: true };
}
