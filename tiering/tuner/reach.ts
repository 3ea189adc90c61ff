import type { Policy } from '../policy.ts';
import type { NodeSnapshot, Region } from '../snapshot.ts';
import { LEAST_EXCHANGE_SHARE, nrAccessesOf } from './levels.ts';

/**
 * How far a demotion reaches, from what is surely cold to everything:
 * `idle` no access at all for the policy's minimum age; `cold` up to the demotion threshold; `warm` all that is not hot; `colder` what is touched, yet less than what waits, page by page no longer;
 * `any` hot memory too, only when a node is over its target and nothing colder is left.
 */
export const REACHES = ['idle', 'cold', 'warm', 'colder', 'any'] as const;
export type Reach = (typeof REACHES)[number];

/** No further reaches, but other memory: `hot` leaves a fast node to be read from both (hotShare); `pages` are those that nobody touched between two looks. */
export type DemotionReach = Reach | 'hot' | 'pages';

/** Bounds of a reach in DAMON's units; `checkYoung`: tell pages by whether they were accessed since the last look (kernel's young filter): only those go up, all others down. */
export interface ReachBounds {
  /**
   * Free and unmovable memory is the coldest of all, so it takes the first places of a coldest-first budget. What reaches beyond idle regions
   * leaves them out, or a budget smaller than that dead memory would never come to anything that moves.
   */
  readonly minNrAccesses: number;
  readonly maxNrAccesses: number;
  readonly minAge: number;
  /** An idle region was sampled at many random pages without a hit: a second look at every page would only cost a pass. */
  readonly checkYoung: boolean;
}

/** What a reach means in samples and aggregations. */
export function reachBounds(reach: Exclude<DemotionReach, 'pages'>, policy: Policy, snapshot: Watched): ReachBounds {
  const { maxNrAccesses, levels } = snapshot;
  const coldUpTo = levels?.coldUpTo ?? 0;
  const hotNrAccesses = hotThresholdNrAccesses(policy, snapshot);
  const minAge = aggregationsIn(policy.demotion.minAgeSeconds, snapshot);
  switch (reach) {
    case 'idle':
      return { minNrAccesses: 0, maxNrAccesses: 0, minAge, checkYoung: false };
    case 'cold':
      return {
        minNrAccesses: Math.min(1, coldUpTo),
        maxNrAccesses: coldUpTo,
        minAge: coldUpTo > 0 ? 0 : Math.min(1, minAge),
        checkYoung: true,
      };
    case 'warm':
      return {
        minNrAccesses: Math.min(1, hotNrAccesses - 1),
        maxNrAccesses: hotNrAccesses - 1,
        minAge: Math.min(1, minAge),
        checkYoung: true,
      };
    case 'colder':
      // What is touched now and then has young pages all the time: then its rate alone tells that it is colder than what waits.
      return { minNrAccesses: 1, maxNrAccesses: coldUpTo, minAge: 0, checkYoung: false };
    case 'hot':
      return { minNrAccesses: hotNrAccesses, maxNrAccesses, minAge: 0, checkYoung: false };
    case 'any':
      return { minNrAccesses: 1, maxNrAccesses, minAge: 0, checkYoung: false };
  }
}

/** Of a snapshot, what bounds are told in. */
type Watched = Pick<NodeSnapshot, 'maxNrAccesses' | 'aggregationIntervalMs' | 'levels'>;

/** Which regions a promotion takes: the hot ones, or, to fill room, all that are worth it. */
export function promotionBounds(policy: Policy, snapshot: Watched, isFill: boolean): ReachBounds {
  const hotFrom = hotThresholdNrAccesses(policy, snapshot);
  return {
    minNrAccesses: isFill ? Math.min(hotFrom, snapshot.levels?.fillFrom ?? hotFrom) : hotFrom,
    maxNrAccesses: snapshot.maxNrAccesses,
    minAge: aggregationsIn(policy.promotion.minAgeSeconds, snapshot),
    checkYoung: false,
  };
}

/** Fewest accesses a region needs to count as hot. */
export function hotThresholdNrAccesses(policy: Policy, { maxNrAccesses, levels }: Watched): number {
  return levels?.hotFrom ?? nrAccessesOf(Math.max(LEAST_EXCHANGE_SHARE, policy.promotion.minAccessRate), maxNrAccesses);
}

function aggregationsIn(seconds: number, { aggregationIntervalMs }: Watched): number {
  return Math.ceil((seconds * 1000) / aggregationIntervalMs);
}

/** Bytes of a snapshot within a reach. */
export function bytesInReach(snapshot: NodeSnapshot, bounds: Omit<ReachBounds, 'checkYoung'>): number {
  let bytes = 0;
  for (const region of snapshot.regions) {
    const { nrAccesses, age } = region;
    if (nrAccesses < bounds.minNrAccesses || nrAccesses > bounds.maxNrAccesses || age < bounds.minAge) continue;
    bytes += region.end - region.start;
  }
  return bytes;
}

/** Regions at least this hot, as a share of all hot bytes from the hottest down, are taken for hot through and through. */
const WHOLLY_HOT_SHARE = 0.25;

/** What the promotion thresholds call hot in a snapshot. */
export interface HotMemory {
  /** Bytes of hot regions: what a promotion would take. */
  readonly bytes: number;
  /**
   * How many of them are hot themselves, as far as can be told: a region less hot than the hottest is taken for a mix of hot and cold pages, as it is while
   * DAMON has not yet found the borders. What is demoted to make room must not be more than this.
   */
  readonly likelyBytes: number;
}

/** Hot memory of a snapshot. */
export function hotMemory(snapshot: NodeSnapshot, policy: Policy): HotMemory {
  const hot = hotRegions(snapshot, policy);
  const wholly = whollyHotNrAccesses(hot);
  const likelyBytes = hot.reduce(
    (total, region) => total + sizeOf(region) * Math.min(1, region.nrAccesses / wholly),
    0,
  );
  return { bytes: bytesOf(hot), likelyBytes };
}

/** Regions that the promotion thresholds call hot. */
export function hotRegions(snapshot: NodeSnapshot, policy: Policy): readonly Region[] {
  const threshold = hotThresholdNrAccesses(policy, snapshot);
  const minAge = aggregationsIn(policy.promotion.minAgeSeconds, snapshot);
  return snapshot.regions.filter((region) => region.nrAccesses >= threshold && region.age >= minAge);
}

/** The access count from which on hot regions are taken for hot through and through: the one that the hottest quarter of their bytes reaches. */
export function whollyHotNrAccesses(hot: readonly Region[]): number {
  const share = bytesOf(hot) * WHOLLY_HOT_SHARE;
  let seen = 0;
  let rate = 1;
  for (const region of hot.toSorted((a, b) => b.nrAccesses - a.nrAccesses)) {
    rate = region.nrAccesses;
    seen += sizeOf(region);
    if (seen >= share) break;
  }
  return rate;
}

function bytesOf(regions: readonly Region[]): number {
  return regions.reduce((total, region) => total + sizeOf(region), 0);
}

function sizeOf({ start, end }: Region): number {
  return end - start;
}

/** The next further reach, or the same when it is `furthest` already. */
export function further(reach: Reach, furthest: Reach): Reach {
  const index = REACHES.indexOf(reach);
  return REACHES[Math.min(index + 1, REACHES.indexOf(furthest))] ?? furthest;
}

/** The nearer of two reaches. */
export function nearer(a: Reach, b: Reach): Reach {
  return REACHES.indexOf(a) <= REACHES.indexOf(b) ? a : b;
}
