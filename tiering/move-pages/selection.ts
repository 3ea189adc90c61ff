import type { AddressRange } from '../../numa/topology.ts';
import type { Policy } from '../policy.ts';
import type { NodeSnapshot, Region } from '../snapshot.ts';
import type { DemotionOrder } from '../tuner/order.ts';
import { hotThresholdNrAccesses, reachBounds } from '../tuner/reach.ts';

/** Physical ranges worth promoting, the hottest first; of equally hot ones those that have been so for longer. */
export function hottestRanges(snapshot: NodeSnapshot, policy: Policy): readonly AddressRange[] {
  const threshold = hotThresholdNrAccesses(policy, snapshot.maxNrAccesses);
  const minAge = Math.ceil((policy.promotion.minAgeSeconds * 1000) / snapshot.aggregationIntervalMs);
  return snapshot.regions
    .filter((region) => region.nrAccesses >= threshold && region.age >= minAge)
    .sort((a, b) => b.nrAccesses - a.nrAccesses || b.age - a.age);
}

/**
 * Physical ranges within a demotion's reach, the coldest first; of equally cold ones those that have been so for longer. The snapshot is the last look before
 * the move: what was touched in it beyond the reach stays.
 */
export function coldestRanges(
  snapshot: NodeSnapshot,
  reach: DemotionOrder['reach'],
  policy: Policy,
): readonly AddressRange[] {
  const { minNrAccesses, maxNrAccesses, minAge } = reachBounds(reach, policy, snapshot);
  const isWithin = ({ nrAccesses, age }: Region): boolean =>
    nrAccesses >= minNrAccesses && nrAccesses <= maxNrAccesses && age >= minAge;
  return snapshot.regions.filter(isWithin).sort((a, b) => a.nrAccesses - b.nrAccesses || b.age - a.age);
}
