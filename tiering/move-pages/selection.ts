import type { AddressRange } from '../../numa/topology.ts';
import type { Policy } from '../policy.ts';
import type { NodeSnapshot, Region } from '../snapshot.ts';
import type { DemotionOrder } from '../tuner/order.ts';
import { hotRegions, reachBounds, whollyHotNrAccesses } from '../tuner/reach.ts';

/** Between two looks at the same hot memory the samples differ by about so much. */
const SAMPLING_NOISE = 0.1;

/**
 * Physical ranges worth promoting, the hottest first; of equally hot ones those that have been so for longer. The first `sureRanges` are as hot as the
 * hottest; the others may be a mix of hot and cold pages, as regions are until DAMON has found the borders of what has just arrived there.
 */
export function hottestRanges(
  snapshot: NodeSnapshot,
  policy: Policy,
): { readonly ranges: readonly AddressRange[]; readonly sureRanges: number } {
  const ranges = hotRegions(snapshot, policy).toSorted((a, b) => b.nrAccesses - a.nrAccesses || b.age - a.age);
  const sure = (1 - SAMPLING_NOISE) * whollyHotNrAccesses(ranges);
  return { ranges, sureRanges: ranges.filter(({ nrAccesses }) => nrAccesses >= sure).length };
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
