import type { NodeSnapshot, Region } from '../../tiering/snapshot.ts';
import { accessRate } from '../../tiering/temperature.ts';

export const REGION_ORDERS = ['hottest', 'coldest', 'largest', 'address'] as const;
type RegionOrder = (typeof REGION_ORDERS)[number];

/** Which regions of a node are shown. What is left out is no condition. */
export interface RegionSelection {
  /** Share of the samples that saw an access, 0 to 1; both ends are included. */
  readonly minAccessRate?: number;
  readonly maxAccessRate?: number;
  readonly minAgeSeconds?: number;
  readonly maxAgeSeconds?: number;
  readonly minSizeBytes?: number;
  /** Left out: by address, and a limit keeps the hottest. */
  readonly sort?: RegionOrder;
  /** Most regions shown. */
  readonly limit: number;
}

export interface SelectedRegions {
  /** How many regions, and how many bytes, meet the conditions. */
  readonly nrMatching: number;
  readonly matchingBytes: number;
  /** Those of them that the limit leaves, in the order that was asked for. */
  readonly shown: readonly Region[];
}

type Compare = (a: Region, b: Region) => number;

const size = ({ start, end }: Region): number => end - start;

// Of equal regions the larger comes first, and of equally large ones the lower.
const COMPARE: Readonly<Record<RegionOrder, Compare>> = {
  hottest: (a, b) => b.nrAccesses - a.nrAccesses || size(b) - size(a) || a.start - b.start,
  coldest: (a, b) => a.nrAccesses - b.nrAccesses || b.age - a.age || size(b) - size(a) || a.start - b.start,
  largest: (a, b) => size(b) - size(a) || a.start - b.start,
  address: (a, b) => a.start - b.start,
};

/** The regions of a snapshot that meet the conditions, at most `limit` of them. */
export function selectRegions(snapshot: NodeSnapshot, selection: RegionSelection): SelectedRegions {
  const { sort, limit } = selection;
  const matching = matchingRegions(snapshot, selection);
  const matchingBytes = matching.reduce((bytes, region) => bytes + size(region), 0);
  return { nrMatching: matching.length, matchingBytes, shown: firstOf(matching, sort, limit) };
}

/** Whether regions are left out for what they are, whatever the limit. */
export function isFiltered(selection: RegionSelection): boolean {
  const { minAccessRate, maxAccessRate, minAgeSeconds, maxAgeSeconds, minSizeBytes } = selection;
  return [minAccessRate, maxAccessRate, minAgeSeconds, maxAgeSeconds, minSizeBytes].some(
    (bound) => bound !== undefined,
  );
}

function matchingRegions(snapshot: NodeSnapshot, selection: RegionSelection): readonly Region[] {
  if (!isFiltered(selection)) return snapshot.regions;
  const { minAccessRate, maxAccessRate, minAgeSeconds, maxAgeSeconds, minSizeBytes } = selection;
  return snapshot.regions.filter((region) => {
    const ageSeconds = (region.age * snapshot.aggregationIntervalMs) / 1000;
    return (
      isWithin(accessRate(region, snapshot), minAccessRate, maxAccessRate) &&
      isWithin(ageSeconds, minAgeSeconds, maxAgeSeconds) &&
      isWithin(size(region), minSizeBytes, undefined)
    );
  });
}

function isWithin(value: number, least: number | undefined, most: number | undefined): boolean {
  return (least === undefined || value >= least) && (most === undefined || value <= most);
}

function firstOf(regions: readonly Region[], sort: RegionOrder | undefined, limit: number): readonly Region[] {
  // A snapshot is by address as it comes.
  if (sort === 'address') return regions.slice(0, limit);
  if (sort !== undefined) return regions.toSorted(COMPARE[sort]).slice(0, limit);
  if (regions.length <= limit) return regions;
  return regions.toSorted(COMPARE.hottest).slice(0, limit).sort(COMPARE.address);
}
