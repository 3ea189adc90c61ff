import { ADDRESS_UNIT_BYTES } from '../numa/page-size.ts';
import type { AddressRange, MigrationPath, Topology } from '../numa/topology.ts';
import { withinFilterLimit } from './filter-limit.ts';
import { hotShareLimit, limitHotShare } from './hot-share-limit.ts';
import type { Policy } from './policy.ts';
import type {
  AccessPattern,
  CgroupScope,
  DamonFeatures,
  DesiredKdamond,
  DesiredScheme,
  Quota,
  SchemeFilter,
} from './scheme.ts';
import { looksAtPages, movesNothing } from './scheme.ts';
import { OFF_AGE, OFF_BYTES, schemeOff } from './scheme-off.ts';
import type { Intervals } from './tuner/intervals.ts';
import { firstIntervals } from './tuner/intervals.ts';
import type { DemotionOrder, Directed, NodeOrders, Order } from './tuner/order.ts';

const MIB = 1024 * 1024;
/** Unbounded; the driver writes the largest value the kernel takes. */
const UNBOUNDED = Number.POSITIVE_INFINITY;
/** Some decisions: an order that none of them renews ends in the kernel, whatever becomes of the daemon. */
const ORDER_PASSES = 6;
/** Shorter than any apply interval: every pass starts a new charge window, so `bytes` is the budget of a pass. */
const RESET_INTERVAL_MS = 1;
/** Size says nothing about heat; the access rate counts most, age settles ties. */
const WEIGHTS = { size: 0, nrAccesses: 700, age: 300 } as const;
/** By address. */
const NO_WEIGHTS = { size: 0, nrAccesses: 0, age: 0 } as const;
const BYTES_PER_MIN_REGION = 4 * MIB;
const WATCHING: DesiredScheme = {
  name: 'watch',
  action: 'stat',
  pattern: {
    sizeBytes: { min: ADDRESS_UNIT_BYTES, max: UNBOUNDED },
    nrAccesses: { min: 0, max: UNBOUNDED },
    age: { min: 0, max: UNBOUNDED },
  },
  // No quota: looking costs nothing.
  quota: { bytes: 0, resetIntervalMs: 0, weights: WEIGHTS },
  filters: [],
};

export interface PlanInput {
  readonly topology: Topology;
  readonly policy: Policy;
  readonly features: DamonFeatures;
  readonly scope: CgroupScope;
  /** From the tuner; a node without orders has its schemes off. */
  readonly orders: readonly NodeOrders[];
  /** How to sample; as the policy says at first when absent. */
  readonly intervals?: Intervals;
}

/**
 * The kdamonds and schemes that a policy means on a machine: one kdamond for each memory node that has somewhere to migrate to (a scheme acts within
 * its context's ranges), with migrate_hot schemes up and migrate_cold schemes down. Pure: the same input gives the same schemes.
 */
export function plan(input: PlanInput): readonly DesiredKdamond[] {
  const { topology } = input;
  return topology.paths.flatMap((path) => {
    const node = topology.nodes.find((candidate) => candidate.nodeId === path.nodeId);
    if (node === undefined || node.ranges.length === 0) return [];
    const orders = input.orders.find((candidate) => candidate.nodeId === path.nodeId);
    const schemes = [
      ...directed(input, path.promotionTargets, orders?.promotion).flatMap(([targetNid, order]) =>
        promotionSchemes(input, targetNid, order),
      ),
      ...directed(input, path.demotionTargets, orders?.demotion).flatMap(([targetNid, order]) =>
        demotionSchemes(input, targetNid, order),
      ),
      ...lookSchemes(input, path, orders?.lookBytes),
    ];
    if (schemes.length === 0) return [];
    const limit = hotShareLimit(input, path);
    const monitored = monitoring([...node.ranges, ...(limit?.comparedRanges ?? [])], input);
    const kdamond = { nodeId: node.nodeId, ...monitored, ranges: node.ranges, schemes };
    return [limit === undefined ? kdamond : limitHotShare(kdamond, limit)];
  });
}

/** The kdamonds of an engine that migrates by itself: they only watch, each with a `stat` scheme over all regions. Pure. */
export function planWatching(input: PlanInput): readonly DesiredKdamond[] {
  const { topology } = input;
  return topology.paths.flatMap((path) => {
    const node = topology.nodes.find((candidate) => candidate.nodeId === path.nodeId);
    const leadsNowhere = path.promotionTargets.length + path.demotionTargets.length === 0;
    if (node === undefined || node.ranges.length === 0 || leadsNowhere) return [];
    return [{ nodeId: node.nodeId, ...monitoring(node.ranges, input), ranges: node.ranges, schemes: [WATCHING] }];
  });
}

function monitoring(ranges: readonly AddressRange[], { policy, intervals = firstIntervals(policy) }: PlanInput) {
  const { minRegions, maxRegions } = policy.monitoring;
  const { samplingIntervalMs, aggregationIntervalMs } = intervals;
  const monitoredBytes = ranges.reduce((total, range) => total + range.end - range.start, 0);
  // Every range is a region at least, and regions stop being split when few are left for them.
  const fewest =
    minRegions === 'auto'
      ? Math.min(1000, Math.max(100, Math.ceil(monitoredBytes / BYTES_PER_MIN_REGION)))
      : minRegions;
  const most = maxRegions === 'auto' ? fewest * 4 : maxRegions;
  return {
    samplingIntervalUs: Math.round(samplingIntervalMs * 1000),
    aggregationIntervalUs: Math.round(aggregationIntervalMs * 1000),
    // Physical ranges have no update operation; the interval only must not be shorter than an aggregation.
    updateIntervalUs: Math.round(aggregationIntervalMs * 1000) * 10,
    minRegions: fewest,
    maxRegions: Math.max(most, fewest, ranges.length * 4),
  };
}

/**
 * The targets that need a scheme, with the order that goes there. One scheme does, whose target follows the orders, where `commit` can change it.
 * Before Linux 6.17 it cannot, short of a new kdamond that has seen nothing yet: there each target has its scheme from the start, and all but one are off.
 */
function directed<SomeOrder extends Directed>(
  { features }: PlanInput,
  targets: readonly number[],
  order: SomeOrder | undefined,
): readonly (readonly [number, SomeOrder | undefined])[] {
  // Memory may have gone since the order was given.
  const valid = order !== undefined && targets.includes(order.targetNodeId) ? order : undefined;
  if (features.commitsTargetNid) return targets.slice(0, 1).map((first) => [valid?.targetNodeId ?? first, valid]);
  return targets.map((target) => [target, target === valid?.targetNodeId ? valid : undefined]);
}

function promotionSchemes(input: PlanInput, targetNid: number, order: Order | undefined): DesiredScheme[] {
  const { policy } = input;
  return scoped(input, {
    name: `promote to node ${targetNid}`,
    action: policy.dryRun ? 'stat' : 'migrate_hot',
    targetNid,
    pattern: patternOf(order, UNBOUNDED),
    quota: quota(order),
    ...lease(input, order),
    filters: youngFilters(input, order, false),
  });
}

function demotionSchemes(input: PlanInput, targetNid: number, order: DemotionOrder | undefined): DesiredScheme[] {
  const { policy } = input;
  return scoped(input, {
    name: `demote to node ${targetNid}`,
    action: policy.dryRun ? 'stat' : 'migrate_cold',
    targetNid,
    pattern: patternOf(order, order?.bounds.maxNrAccesses ?? 0),
    quota: quota(order),
    ...lease(input, order),
    filters: youngFilters(input, order, true),
  });
}

/**
 * A scheme that clears the accessed bits of pages, and where the kernel tells counts those that were set. `stat` does from 6.14 on. Before, it takes no notice of
 * filters; there pages "migrate" to the node where they are, which isolates and puts back the few that pass: only where they are promoted from, as it sets ages back.
 */
function lookSchemes(input: PlanInput, path: MigrationPath, lookBytes: number | undefined): DesiredScheme[] {
  const { features } = input;
  const canCount = features.filterPassedBytes;
  const targets = canCount ? [...path.promotionTargets, ...path.demotionTargets] : path.promotionTargets;
  if (!looksAtPages(features) || targets.length === 0) return [];
  const bounds = { minNrAccesses: 0, maxNrAccesses: UNBOUNDED, minAge: 0, checkYoung: true };
  const order = lookBytes === undefined ? undefined : { budgetBytes: lookBytes, bounds, reason: '', isSweep: true };
  return scoped(input, {
    name: `look at pages of node ${path.nodeId}`,
    action: canCount || input.policy.dryRun ? 'stat' : 'migrate_hot',
    ...(!canCount && { targetNid: path.nodeId }),
    pattern: patternOf(order, UNBOUNDED),
    quota: quota(order),
    ...(order !== undefined && features.maxPasses && { maxPasses: 1 }),
    filters: [{ type: 'young', matching: false, allow: false }],
  });
}

/** Rejects pages that were accessed since the last look, or all others. */
function youngFilters({ features }: PlanInput, order: Order | undefined, rejectsYoung: boolean): SchemeFilter[] {
  return order?.bounds.checkYoung === true && features.youngFilter
    ? [{ type: 'young', matching: rejectsYoung, allow: false }]
    : [];
}

/** What is off matches nothing. */
function patternOf(order: Order | undefined, maxNrAccesses: number): AccessPattern {
  const isOn = order !== undefined && order.budgetBytes > 0;
  return {
    sizeBytes: { min: ADDRESS_UNIT_BYTES, max: UNBOUNDED },
    nrAccesses: { min: order?.bounds.minNrAccesses ?? 0, max: maxNrAccesses },
    age: { min: isOn ? order.bounds.minAge : OFF_AGE, max: UNBOUNDED },
  };
}

function lease({ policy, features }: PlanInput, order: Order | undefined): Pick<DesiredScheme, 'maxPasses'> {
  const canMove = !policy.dryRun && (order?.budgetBytes ?? 0) > 0;
  return canMove && features.maxPasses ? { maxPasses: ORDER_PASSES } : {};
}

function quota(order: Order | undefined): Quota {
  const bytes = Math.max(OFF_BYTES, order?.budgetBytes ?? 0);
  return { bytes, resetIntervalMs: RESET_INTERVAL_MS, weights: order?.isSweep === true ? NO_WEIGHTS : WEIGHTS };
}

/**
 * A scheme cut to the cgroups in scope. Where filters can let pass (core and ops filters, 6.15) one scheme holds rejects, then allows, and what matches none
 * is rejected. Before, filters only reject: "not this cgroup" can be said once a scheme, so each included cgroup gets a scheme and its share of the budget.
 */
function scoped({ features, scope: wanted }: PlanInput, scheme: DesiredScheme): DesiredScheme[] {
  const scope = withinFilterLimit(wanted);
  if (movesNothing(scope)) return [schemeOff(scheme)];
  const rejects: SchemeFilter[] = scope.exclude.map((memcgPath) => ({
    type: 'memcg',
    memcgPath,
    matching: true,
    allow: false,
  }));
  const { include } = scope;
  if (include === 'all') return [{ ...scheme, filters: [...rejects, ...scheme.filters] }];
  if (features.allowFilters && features.splitFilters) {
    const allows: SchemeFilter[] = include.map((memcgPath) => ({
      type: 'memcg',
      memcgPath,
      matching: true,
      allow: true,
    }));
    return [{ ...scheme, filters: [...rejects, ...scheme.filters, ...allows] }];
  }
  return include.map((memcgPath) => ({
    ...scheme,
    name: `${scheme.name} from ${memcgPath}`,
    quota: { ...scheme.quota, bytes: Math.max(OFF_BYTES, Math.floor(scheme.quota.bytes / include.length)) },
    filters: [...rejects, { type: 'memcg', memcgPath, matching: false, allow: false }, ...scheme.filters],
  }));
}
