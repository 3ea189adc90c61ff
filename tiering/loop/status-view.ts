import type { Topology } from '../../numa/topology.ts';
import type { Observation } from '../observation.ts';
import type { Policy } from '../policy.ts';
import type { NodeStatus } from '../service.ts';
import { temperaturesOf } from '../temperature.ts';
import { keepFreeBytes } from '../tuner/headroom.ts';
import type { NodeOrders } from '../tuner/order.ts';

/** Each node as an operator wants to see it, from the newest observation and the orders that followed from it. */
export function nodeStatuses(
  topology: Topology,
  policy: Policy,
  observation: Observation | undefined,
  orders: readonly NodeOrders[],
): readonly NodeStatus[] {
  const ranks = new Map(topology.tiers.flatMap((tier) => tier.nodeIds.map((nodeId) => [nodeId, tier.rank] as const)));
  return topology.nodes.flatMap((node) => {
    const tier = ranks.get(node.nodeId);
    if (tier === undefined) return [];
    const seen = observation?.nodes.find((candidate) => candidate.nodeId === node.nodeId) ?? node;
    const path = topology.paths.find((candidate) => candidate.nodeId === node.nodeId);
    const snapshot = 'snapshot' in seen ? seen.snapshot : undefined;
    const reasons = orders.find((candidate) => candidate.nodeId === node.nodeId);
    const promotionTarget = reasons?.promotion?.targetNodeId ?? path?.promotionTargets[0];
    const demotionTarget = reasons?.demotion?.targetNodeId ?? path?.demotionTargets[0];
    const decision = [
      reasons?.promotion && `promotion ${mode(reasons.promotion.budgetBytes)}: ${reasons.promotion.reason}`,
      reasons?.demotion && `demotion ${mode(reasons.demotion.budgetBytes)}: ${reasons.demotion.reason}`,
    ].filter((text) => text !== undefined);
    return [
      {
        nodeId: node.nodeId,
        tier,
        totalBytes: seen.totalBytes,
        freeBytes: seen.freeBytes,
        usedShare: seen.totalBytes === 0 ? 0 : 1 - seen.freeBytes / seen.totalBytes,
        ...(tier === 0 &&
          demotionTarget !== undefined && {
            targetShare: 1 - keepFreeBytes(seen, true, policy) / seen.totalBytes,
          }),
        ...(snapshot && { temperatures: temperaturesOf(snapshot, policy) }),
        ...(promotionTarget !== undefined && { promotionTarget }),
        ...(demotionTarget !== undefined && { demotionTarget }),
        ...(decision.length > 0 && { decision: decision.join('; ') }),
      },
    ];
  });
}

function mode(budgetBytes: number): string {
  return budgetBytes === 0 ? 'off' : `${Math.round(budgetBytes / 1024 / 1024)} MiB a pass`;
}
