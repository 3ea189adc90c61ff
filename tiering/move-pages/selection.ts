import type { AddressRange } from '../../numa/topology.ts';
import type { Policy } from '../policy.ts';
import type { NodeSnapshot, Region } from '../snapshot.ts';
import type { DemotionOrder } from '../tuner/order.ts';
import { hotRegions, reachBounds, whollyHotNrAccesses } from '../tuner/reach.ts';

/** Regions at least so hot, as a share of the hottest, hold mostly hot pages. */
const MOSTLY_HOT_SHARE = 0.75;

/** Physical ranges worth promoting, the hottest first; of equally hot ones those that have been so for longer. */
export function hottestRanges(snapshot: NodeSnapshot, policy: Policy): readonly AddressRange[] {
  return hotRegions(snapshot, policy).toSorted((a, b) => b.nrAccesses - a.nrAccesses || b.age - a.age);
}

/**
 * Physical ranges within a demotion's reach, the coldest first; of equally cold ones those that have been so for longer. The snapshot is the last look before
 * the move: what was touched in it beyond the reach stays. From `looseFrom` on they hold hot pages, which leave only because the node is to hold less.
 * Once there, hot and cold pages lie together, and DAMON sees mixed regions: which pages were hot is best known while they leave.
 */
export function coldestRanges(
  snapshot: NodeSnapshot,
  reach: DemotionOrder['reach'],
  policy: Policy,
): { readonly ranges: readonly AddressRange[]; readonly looseFrom: number } {
  const { minNrAccesses, maxNrAccesses, minAge } = reachBounds(reach, policy, snapshot);
  const isWithin = ({ nrAccesses, age }: Region): boolean =>
    nrAccesses >= minNrAccesses && nrAccesses <= maxNrAccesses && age >= minAge;
  const ranges = snapshot.regions.filter(isWithin).sort((a, b) => a.nrAccesses - b.nrAccesses || b.age - a.age);
  const hot = hotRegions(snapshot, policy);
  const mostlyHot = hot.length === 0 ? Number.POSITIVE_INFINITY : MOSTLY_HOT_SHARE * whollyHotNrAccesses(hot);
  const looseFrom = ranges.findIndex(({ nrAccesses }) => nrAccesses >= mostlyHot);
  return { ranges, looseFrom: looseFrom < 0 ? ranges.length : looseFrom };
}
