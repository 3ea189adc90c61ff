import type { AddressRange } from '../../numa/topology.ts';
import type { Policy } from '../policy.ts';
import type { NodeSnapshot, Region } from '../snapshot.ts';
import type { ReachBounds } from '../tuner/reach.ts';
import { hotRegions, whollyHotNrAccesses } from '../tuner/reach.ts';

/** Regions at least so hot, as a share of the hottest, hold mostly hot pages. */
const MOSTLY_HOT_SHARE = 0.75;

/** Physical ranges within a promotion's bounds, the hottest first; of equally hot ones those that have been so for longer. */
export function hottestRanges({ regions }: NodeSnapshot, bounds: ReachBounds): readonly AddressRange[] {
  return regions
    .filter((region) => isWithin(region, bounds))
    .sort((a, b) => b.nrAccesses - a.nrAccesses || b.age - a.age);
}

/**
 * Physical ranges within a demotion's reach, the coldest first; of equally cold ones those that have been so for longer. The snapshot is the last look before
 * the move: what was touched in it beyond the reach stays. From `looseFrom` on they hold hot pages, which leave only because the node is to hold less.
 * Once there, hot and cold pages lie together, and DAMON sees mixed regions: which pages were hot is best known while they leave.
 */
export function coldestRanges(
  snapshot: NodeSnapshot,
  bounds: ReachBounds,
  policy: Policy,
): { readonly ranges: readonly AddressRange[]; readonly looseFrom: number } {
  const ranges = snapshot.regions
    .filter((region) => isWithin(region, bounds))
    .sort((a, b) => a.nrAccesses - b.nrAccesses || b.age - a.age);
  const hot = hotRegions(snapshot, policy);
  const mostlyHot = hot.length === 0 ? Number.POSITIVE_INFINITY : MOSTLY_HOT_SHARE * whollyHotNrAccesses(hot);
  const looseFrom = ranges.findIndex(({ nrAccesses }) => nrAccesses >= mostlyHot);
  return { ranges, looseFrom: looseFrom < 0 ? ranges.length : looseFrom };
}

function isWithin({ nrAccesses, age }: Region, { minNrAccesses, maxNrAccesses, minAge }: ReachBounds): boolean {
  return nrAccesses >= minNrAccesses && nrAccesses <= maxNrAccesses && age >= minAge;
}
