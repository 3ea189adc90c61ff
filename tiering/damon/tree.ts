import { LARGEST_PAGE_BYTES } from '../../numa/page-size.ts';
import type { AddressRange } from '../../numa/topology.ts';
import type { Bounds, DamonFeatures, DesiredKdamond, DesiredScheme, SchemeFilter } from '../scheme.ts';
import { DamonUnsupportedError } from './errors.ts';

/** One file to write, by its path relative to /sys/kernel/mm/damon/admin/kdamonds. */
export interface FileWrite {
  readonly path: string;
  readonly value: string;
}

/** What the tree's shape depends on. */
export type TreeFeatures = Pick<
  DamonFeatures,
  'splitFilters' | 'allowFilters' | 'filters' | 'applyInterval' | 'goalTuners' | 'maxPasses'
>;

/** Above every double that counts bytes exactly; as text, because a double cannot hold it. */
const MAX_UNSIGNED_LONG = '18446744073709551615';
/** The core keeps nr_accesses and age in 32 bits. */
const MAX_UNSIGNED_INT = '4294967295';

/**
 * All files of one kdamond, in the order in which they must be written into a fresh or reused directory: a `nr_*` file comes
 * before the children it makes. Throws DamonUnsupportedError for what this kernel's files cannot say.
 *
 * @param passes that each scheme has made since the kdamond started; none: it starts
 */
export function kdamondWrites(
  index: number,
  desired: DesiredKdamond,
  features: TreeFeatures,
  passes: readonly number[] = [],
): readonly FileWrite[] {
  const context = `${index}/contexts/0`;
  const attributes = `${context}/monitoring_attrs`;
  const regions = `${context}/targets/0/regions`;
  const ranges = watchedRanges(desired);
  const writes: FileWrite[] = [
    { path: `${index}/contexts/nr_contexts`, value: '1' },
    { path: `${context}/operations`, value: 'paddr' },
    { path: `${attributes}/intervals/sample_us`, value: count(desired.samplingIntervalUs) },
    { path: `${attributes}/intervals/aggr_us`, value: count(desired.aggregationIntervalUs) },
    { path: `${attributes}/intervals/update_us`, value: count(desired.updateIntervalUs) },
    { path: `${attributes}/nr_regions/min`, value: count(desired.minRegions) },
    { path: `${attributes}/nr_regions/max`, value: count(desired.maxRegions) },
    { path: `${context}/targets/nr_targets`, value: '1' },
    { path: `${regions}/nr_regions`, value: count(ranges.length) },
  ];
  for (const [position, range] of ranges.entries()) {
    writes.push({ path: `${regions}/${position}/start`, value: count(range.start) });
    writes.push({ path: `${regions}/${position}/end`, value: count(range.end) });
  }
  writes.push({ path: `${context}/schemes/nr_schemes`, value: count(desired.schemes.length) });
  for (const [position, scheme] of desired.schemes.entries()) {
    writes.push(...schemeWrites(`${context}/schemes/${position}`, scheme, features, passes[position]));
  }
  return writes;
}

function schemeWrites(
  folder: string,
  scheme: DesiredScheme,
  features: TreeFeatures,
  passes?: number,
): readonly FileWrite[] {
  const writes: FileWrite[] = [{ path: `${folder}/action`, value: scheme.action }];
  if (scheme.targetNid !== undefined) {
    // Also for `stat`, so that a scheme that becomes a migration keeps its target.
    writes.push({ path: `${folder}/target_nid`, value: count(scheme.targetNid) });
  } else if (scheme.action !== 'stat') {
    // The kernel takes any number here and even starts with it: a forgotten target would only show as no migration.
    throw new RangeError(`scheme ${scheme.name}: ${scheme.action} needs a target node`);
  }
  const { pattern, quota } = scheme;
  if (features.applyInterval) {
    writes.push({ path: `${folder}/apply_interval_us`, value: count(scheme.applyIntervalUs ?? 0) });
  }
  writes.push(
    { path: `${folder}/access_pattern/sz/min`, value: lower(pattern.sizeBytes) },
    { path: `${folder}/access_pattern/sz/max`, value: upper(pattern.sizeBytes, MAX_UNSIGNED_LONG) },
    { path: `${folder}/access_pattern/nr_accesses/min`, value: lower(pattern.nrAccesses) },
    { path: `${folder}/access_pattern/nr_accesses/max`, value: upper(pattern.nrAccesses, MAX_UNSIGNED_INT) },
    { path: `${folder}/access_pattern/age/min`, value: lower(pattern.age) },
    { path: `${folder}/access_pattern/age/max`, value: upper(pattern.age, MAX_UNSIGNED_INT) },
    { path: `${folder}/quotas/ms`, value: '0' },
    { path: `${folder}/quotas/bytes`, value: count(quota.bytes) },
    { path: `${folder}/quotas/reset_interval_ms`, value: count(quota.resetIntervalMs) },
    { path: `${folder}/quotas/weights/sz_permil`, value: count(quota.weights.size) },
    { path: `${folder}/quotas/weights/nr_accesses_permil`, value: count(quota.weights.nrAccesses) },
    { path: `${folder}/quotas/weights/age_permil`, value: count(quota.weights.age) },
    ...goalWrites(`${folder}/quotas`, scheme, features),
    ...leaseWrites(folder, scheme, features, passes),
  );
  if (!features.filters) {
    if (scheme.filters.length === 0) return writes;
    throw new DamonUnsupportedError(
      `scheme ${scheme.name} needs filters (Linux 6.3), which this kernel's DAMON has not`,
    );
  }
  if (!features.splitFilters) return [...writes, ...filtersWrites(`${folder}/filters`, scheme.filters, features)];
  // Since 6.15 what the core handles and what the operations layer handles have folders of their own.
  const isCore = ({ type }: SchemeFilter) => type === 'addr';
  const [core, operations] = [scheme.filters.filter(isCore), scheme.filters.filter((filter) => !isCore(filter))];
  return [
    ...writes,
    ...filtersWrites(`${folder}/core_filters`, core, features),
    ...filtersWrites(`${folder}/ops_filters`, operations, features),
  ];
}

/** The kernel counts on from what a scheme has done; 0 is no limit. */
function leaseWrites(
  folder: string,
  { maxPasses }: DesiredScheme,
  features: TreeFeatures,
  passes = 0,
): readonly FileWrite[] {
  if (!features.maxPasses) return [];
  const value = maxPasses === undefined ? '0' : count(passes + maxPasses);
  return [{ path: `${folder}/stats/max_nr_snapshots`, value }];
}

/** Kernels that know no `temporal` tuner get none of these files, those that do hold how many goals there are: none, mostly. */
function goalWrites(folder: string, { name, quota: { goal } }: DesiredScheme, features: TreeFeatures) {
  if (!features.goalTuners.includes('temporal')) {
    if (goal === undefined) return [];
    throw new DamonUnsupportedError(`scheme ${name} needs goal_tuner \`temporal\` (Linux 7.1)`);
  }
  if (goal === undefined) return [{ path: `${folder}/goals/nr_goals`, value: '0' }];
  return [
    { path: `${folder}/goals/nr_goals`, value: '1' },
    { path: `${folder}/goals/0/target_metric`, value: goal.metric },
    { path: `${folder}/goals/0/nid`, value: count(goal.nodeId) },
    { path: `${folder}/goals/0/target_value`, value: count(goal.targetBp) },
    { path: `${folder}/goal_tuner`, value: 'temporal' },
  ];
}

function filtersWrites(folder: string, filters: readonly SchemeFilter[], features: TreeFeatures): readonly FileWrite[] {
  return [
    { path: `${folder}/nr_filters`, value: count(filters.length) },
    ...filters.flatMap((filter, position) => filterWrites(`${folder}/${position}`, filter, features)),
  ];
}

function filterWrites(folder: string, filter: SchemeFilter, features: TreeFeatures): readonly FileWrite[] {
  const writes: FileWrite[] = [{ path: `${folder}/type`, value: filter.type }];
  if (filter.type === 'memcg') writes.push({ path: `${folder}/memcg_path`, value: filter.memcgPath });
  if (filter.type === 'addr') {
    writes.push({ path: `${folder}/addr_start`, value: count(filter.range.start) });
    writes.push({ path: `${folder}/addr_end`, value: count(filter.range.end) });
  }
  writes.push({ path: `${folder}/matching`, value: filter.matching ? 'Y' : 'N' });
  if (features.allowFilters) {
    writes.push({ path: `${folder}/allow`, value: filter.allow ? 'Y' : 'N' });
  } else if (filter.allow) {
    throw new DamonUnsupportedError(
      `a ${filter.type} filter that allows needs the filters' \`allow\` file (Linux 6.14): this kernel's filters can only reject`,
    );
  }
  return writes;
}

function count(value: number): string {
  if (!Number.isSafeInteger(value) || value < 0) throw new RangeError(`not a whole number that DAMON takes: ${value}`);
  return String(value);
}

function lower(bounds: Bounds): string {
  return count(Math.ceil(bounds.min));
}

function upper(bounds: Bounds, max: string): string {
  if (bounds.max >= Number.MAX_SAFE_INTEGER) return max;
  const floor = Math.floor(bounds.max);
  return max === MAX_UNSIGNED_INT && floor > Number(MAX_UNSIGNED_INT) ? max : count(floor);
}

/** All that a kdamond watches, ascending, as the kernel wants it. */
export function watchedRanges({ ranges, comparedRanges = [] }: DesiredKdamond): readonly AddressRange[] {
  return [...ranges, ...comparedRanges].toSorted((a, b) => a.start - b.start);
}

const HUGE_PAGE_BYTES = 2 * 1024 * 1024;
/** Each is a folder and two writes; from here doubling each aggregation is soon enough. */
const MOST_INITIAL_REGIONS = 200;

/**
 * The ranges cut into about `minRegions` pieces to start monitoring with. Before 7.1 DAMON begins with one region for each
 * range, whatever min_nr_regions says, and needs some ten aggregations to tell anything apart. For the start only: a `commit`
 * trims regions to what the files say, so afterwards they must hold the ranges themselves.
 */
export function initialRegions(ranges: readonly AddressRange[], minRegions: number): readonly AddressRange[] {
  const totalBytes = ranges.reduce((total, range) => total + range.end - range.start, 0);
  const wantedBytes = Math.floor(totalBytes / Math.min(MOST_INITIAL_REGIONS, Math.max(1, minRegions)));
  // Huge pages move whole.
  const unitBytes = wantedBytes >= HUGE_PAGE_BYTES ? HUGE_PAGE_BYTES : LARGEST_PAGE_BYTES;
  const pieceBytes = Math.max(unitBytes, Math.round(wantedBytes / unitBytes) * unitBytes);
  return ranges.flatMap((range) => {
    const pieces: AddressRange[] = [];
    let start = range.start;
    while (start < range.end) {
      // Cuts lie on multiples of the unit; a rest of less than half a piece goes to the last one.
      const cut = Math.floor(start / unitBytes) * unitBytes + pieceBytes;
      const end = range.end - cut < pieceBytes / 2 ? range.end : cut;
      pieces.push({ start, end });
      start = end;
    }
    return pieces;
  });
}

/** Is this one of the `nr_*` files whose write destroys and remakes the numbered folders beside it? */
export function makesChildren(path: string): boolean {
  return path.slice(path.lastIndexOf('/') + 1).startsWith('nr_');
}

/** Values that a commit changes and nobody needs after a crash: they are read from the files again, and the first commit sets them. */
const NOT_IN_RECEIPT = ['/monitoring_attrs/', '/access_pattern/', '/apply_interval_us', '/quotas/', '/stats/'];

/**
 * Does a receipt have to know of a change to this file? Of ranges, actions, targets and filters, yes: a kdamond that died is started again from it. Intervals,
 * patterns and budgets change every other tick and are worth no disk write.
 */
export function isInReceipt(path: string): boolean {
  return !NOT_IN_RECEIPT.some((part) => path.includes(part));
}

/**
 * The writes that turn files holding `written` into `wanted`, in order. When a `nr_*` file changes, everything below it is
 * written again, because writing it empties its children; where it does not change, it is left alone for the same reason.
 */
export function pendingWrites(
  written: ReadonlyMap<string, string>,
  wanted: readonly FileWrite[],
): readonly FileWrite[] {
  const emptied: string[] = [];
  return wanted.filter((write) => {
    const lost = emptied.some((folder) => write.path.startsWith(folder));
    if (!lost && written.get(write.path) === write.value) return false;
    if (makesChildren(write.path)) emptied.push(folderOf(write.path));
    return true;
  });
}

/** Brings `written` up to date after one file was written. */
export function noteWritten(written: Map<string, string>, write: FileWrite): void {
  if (makesChildren(write.path)) {
    const folder = folderOf(write.path);
    for (const path of written.keys()) if (path.startsWith(folder)) written.delete(path);
  }
  written.set(write.path, write.value);
}

function folderOf(path: string): string {
  return path.slice(0, path.lastIndexOf('/') + 1);
}

/** The files to write, before `commit`, to get from one desired state of a kdamond to another. */
export function kdamondChanges(
  index: number,
  from: DesiredKdamond,
  to: DesiredKdamond,
  features: TreeFeatures,
): readonly FileWrite[] {
  const written = new Map(kdamondWrites(index, from, features).map(({ path, value }) => [path, value]));
  return pendingWrites(written, kdamondWrites(index, to, features));
}
