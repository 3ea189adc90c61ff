import type { Observation } from '../observation.ts';
import type { Policy } from '../policy.ts';
import { temperaturesOf } from '../temperature.ts';
import type { NodeOrders } from '../tuner/order.ts';
import type { NodeSample } from './history.ts';

/** What the history keeps of one decision: each node as it was observed, and what the orders let move out of it. */
export function nodeSamples(
  { nodes }: Observation,
  orders: readonly NodeOrders[],
  policy: Policy,
): readonly NodeSample[] {
  return nodes.map(({ nodeId, totalBytes, freeBytes, snapshot, promotedBytes, demotedBytes }) => {
    const order = orders.find((candidate) => candidate.nodeId === nodeId);
    return {
      nodeId,
      totalBytes,
      usedBytes: totalBytes - freeBytes,
      ...(snapshot && { temperatures: temperaturesOf(snapshot, policy) }),
      promotedBytes,
      demotedBytes,
      promotionQuotaBytes: order?.promotion?.budgetBytes ?? 0,
      demotionQuotaBytes: order?.demotion?.budgetBytes ?? 0,
    };
  });
}
