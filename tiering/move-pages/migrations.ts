import type { PlanInput } from '../plan.ts';
import type { NodeSnapshot } from '../snapshot.ts';
import { PAGE_BYTES } from './page-bytes.ts';
import type { Migration } from './page-mover.ts';
import { RegionRates } from './region-rates.ts';
import { coldestRanges, hottestRanges } from './selection.ts';

/** The migrations that orders mean, in the order in which to carry them out: demotions first, as they make the room. Pure. */
export function migrationsFor(
  { topology, policy, orders }: PlanInput,
  snapshots: ReadonlyMap<number, NodeSnapshot>,
): readonly Migration[] {
  const demotions: Migration[] = [];
  const promotions: Migration[] = [];
  for (const { nodeId, promotion, demotion } of orders) {
    const path = topology.paths.find((candidate) => candidate.nodeId === nodeId);
    const snapshot = snapshots.get(nodeId);
    if (path === undefined || snapshot === undefined) continue;
    if (demotion !== undefined && demotion.budgetBytes > 0 && path.demotionTargets.includes(demotion.targetNodeId)) {
      demotions.push({
        direction: 'demotion',
        fromNodeId: nodeId,
        toNodeId: demotion.targetNodeId,
        budgetBytes: demotion.budgetBytes,
        ...coldestRanges(snapshot, demotion.bounds, policy),
        maxNrAccesses: demotion.bounds.maxNrAccesses,
      });
    }
    if (
      promotion !== undefined &&
      promotion.budgetBytes > 0 &&
      path.promotionTargets.includes(promotion.targetNodeId)
    ) {
      promotions.push({
        direction: 'promotion',
        fromNodeId: nodeId,
        toNodeId: promotion.targetNodeId,
        budgetBytes: promotion.budgetBytes,
        ranges: hottestRanges(snapshot, promotion.bounds),
        looseFrom: 0,
        rates: new RegionRates(snapshot, PAGE_BYTES),
      });
    }
  }
  return [...demotions, ...promotions];
}
