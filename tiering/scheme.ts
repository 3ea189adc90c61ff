import type { AddressRange } from '../numa/topology.ts';

/**
 * Desired kdamonds and schemes: what plan() gives and the DAMON driver applies. The shapes follow the kernel's sysfs tree
 * (Documentation/admin-guide/mm/damon/usage.rst) with units in the names; feature differences are settled by plan().
 */

export type SchemeAction = 'migrate_hot' | 'migrate_cold' | 'stat';

/** Inclusive bounds. `nrAccesses` in samples per aggregation, `age` in aggregations, `sizeBytes` in bytes. */
export interface AccessPattern {
  readonly sizeBytes: Bounds;
  readonly nrAccesses: Bounds;
  readonly age: Bounds;
}

export interface Bounds {
  readonly min: number;
  readonly max: number;
}

/**
 * A budget for one pass: with a reset interval shorter than the apply interval each pass of DAMOS starts a new charge window,
 * so that `bytes` is what one pass may try and a new value holds from the next pass on. 1 byte means off.
 */
export interface Quota {
  readonly bytes: number;
  readonly resetIntervalMs: number;
  readonly weights: { readonly size: number; readonly nrAccesses: number; readonly age: number };
  readonly goal?: QuotaGoal;
}

/**
 * Nothing moves while the kernel finds it met, whatever `bytes` allows (goal_tuner `temporal`, Linux 7.1). The metric is the share of the memory matching the
 * scheme's pattern, over all that its kdamond watches, that lies on a node (Linux 7.2).
 */
export interface QuotaGoal {
  readonly metric: 'node_eligible_mem_bp';
  readonly nodeId: number;
  /** In basis points, 1 to 10,000: the kernel divides by it. */
  readonly targetBp: number;
}

/** `matching` and `allow` as in the kernel's files; `memcgPath` from the cgroup mount; `range` is of type `addr`. */
export type SchemeFilter =
  | { readonly type: 'young'; readonly matching: boolean; readonly allow: boolean }
  | { readonly type: 'memcg'; readonly memcgPath: string; readonly matching: boolean; readonly allow: boolean }
  | { readonly type: 'addr'; readonly range: AddressRange; readonly matching: boolean; readonly allow: boolean };

/** Cgroups in scope with all below them, as memcg filters match exactly one cgroup each. */
export interface CgroupScope {
  /** `all`: the policy names none, and everybody's memory may move. An empty list: it names some that are not there, and nobody's may. */
  readonly include: readonly string[] | 'all';
  readonly exclude: readonly string[];
}

/** True when the policy names cgroups to include and none of them is there, or none that could be told apart. */
export function movesNothing({ include }: CgroupScope): boolean {
  return include !== 'all' && include.length === 0;
}

export interface DesiredScheme {
  readonly name: string;
  readonly action: SchemeAction;
  /** Node the memory goes to; only for migrate actions. */
  readonly targetNid?: number;
  readonly pattern: AccessPattern;
  /**
   * Time between two passes; the aggregation interval when absent. Kernels before about 6.17 start it anew at each `commit`
   * (and 6.12 commits exactly when an aggregation ends): there a daemon that commits at every aggregation starves its schemes
   * unless this is shorter than the aggregation interval.
   */
  readonly applyIntervalUs?: number;
  readonly quota: Quota;
  /**
   * Passes after which it ends unless it is applied anew, where the kernel counts them (Linux 7.0); absent: it does not end. Those count that come to the
   * last region with quota left: when more matches than the quota allows, the end comes later.
   */
  readonly maxPasses?: number;
  readonly filters: readonly SchemeFilter[];
}

export type SchemeDirection = 'promotion' | 'demotion' | 'look';

/** A kdamond's promotions come first, then its demotions, then what looks at pages and moves nothing. */
export function directionOf({ name }: DesiredScheme): SchemeDirection {
  if (name.startsWith('promote')) return 'promotion';
  return name.startsWith('look') ? 'look' : 'demotion';
}

/** Whether a scheme moves memory up. */
export function isPromotion(scheme: DesiredScheme): boolean {
  return directionOf(scheme) === 'promotion';
}

/** Whether DAMON can look at single pages and clear their accessed bits without moving them. */
export function looksAtPages({ migrateActions, youngFilter }: DamonFeatures): boolean {
  return migrateActions && youngFilter;
}

/** One kdamond with one context that watches one node's physical ranges. */
export interface DesiredKdamond {
  readonly nodeId: number;
  readonly samplingIntervalUs: number;
  readonly aggregationIntervalUs: number;
  readonly updateIntervalUs: number;
  readonly minRegions: number;
  readonly maxRegions: number;
  readonly ranges: readonly AddressRange[];
  /** Another node's memory that is watched too, for a goal to compare with; no scheme may touch it and no snapshot shows it. */
  readonly comparedRanges?: readonly AddressRange[];
  readonly schemes: readonly DesiredScheme[];
}

/** What schemes did since their kdamond started (`schemes/N/stats`). */
export interface SchemeStats {
  readonly nrTried: number;
  readonly triedBytes: number;
  readonly nrApplied: number;
  readonly appliedBytes: number;
  readonly quotaExceeds: number;
  /** Of the bytes tried, what no filter of the operations layer rejected (6.14). */
  readonly filterPassedBytes?: number;
  /** Passes that came to the last region (7.0). */
  readonly passes?: number;
}

/** What this kernel's DAMON can do, found by probing its files. */
export interface DamonFeatures {
  readonly migrateActions: boolean;
  readonly youngFilter: boolean;
  readonly memcgFilter: boolean;
  /** Schemes have filters at all (6.3). */
  readonly filters: boolean;
  /** Schemes have an apply interval of their own (6.7); before, it is the aggregation interval. */
  readonly applyInterval: boolean;
  /** Filters can also let pass (`allow` file, 6.14). */
  readonly allowFilters: boolean;
  /** Filters are split in `core_filters` and `ops_filters` (6.15); before, one `filters`. */
  readonly splitFilters: boolean;
  readonly addrUnit: boolean;
  /** Schemes tell how much their filters let pass, and `stat` looks through them, too (`sz_ops_filter_passed`, 6.14). */
  readonly filterPassedBytes: boolean;
  /** Schemes end after so many passes (`max_nr_snapshots`, 7.0). */
  readonly maxPasses: boolean;
  readonly effectiveBytes: boolean;
  /** Trace events under events/damon. */
  readonly traceEvents: readonly string[];
  /** Metrics that `target_metric` of a quota goal accepts. */
  readonly goalMetrics: readonly string[];
  /** Names that a quota's `goal_tuner` accepts (7.1); empty before. */
  readonly goalTuners: readonly string[];
  readonly damonStat: boolean;
  /**
   * `commit` passes on a scheme's target_nid. Before, an existing scheme kept its old target and a scheme added by commit had
   * none. The fix came with the migration weights, whose folder `dests` shows it.
   */
  readonly commitsTargetNid: boolean;
}
