import type { AddressRange, MigrationPath, Topology } from '../numa/topology.ts';
import type { Policy } from './policy.ts';
import type { DamonFeatures, DesiredKdamond, QuotaGoal, SchemeFilter } from './scheme.ts';
import { isPromotion } from './scheme.ts';
import { HOT_SHARE_TOLERANCE } from './tuner/hot-share.ts';

/** By which the kernel itself ends promotions into a fast node. */
export interface HotShareLimit {
  readonly goal: QuotaGoal;
  /** The fast node's memory, which must be watched beside the slow node's: DAMON compares only within one context. */
  readonly comparedRanges: readonly AddressRange[];
}

export interface HotShareLimitInput {
  readonly topology: Topology;
  readonly policy: Policy;
  readonly features: DamonFeatures;
}

/**
 * Below a hotShare of 1 the daemon's own loop says how much to promote, on every kernel. Where DAMON knows the goal for it, the kernel too refuses to pass the share, by more than
 * the loop's tolerance: also between two ticks, and while the daemon is stopped. undefined: no limit, or a share that DAMON cannot measure so, with several
 * nodes below a fast one and a context for each, or several fast ones above. Pure.
 */
export function hotShareLimit(input: HotShareLimitInput, path: MigrationPath): HotShareLimit | undefined {
  const { topology, policy, features } = input;
  const targetBp = Math.round((policy.hotShare + HOT_SHARE_TOLERANCE) * 10_000);
  const fast = topology.nodes.find(({ nodeId }) => nodeId === path.promotionTargets[0]);
  if (policy.hotShare >= 1 || targetBp >= 10_000 || !canMeasure(features) || fast === undefined) return undefined;
  const isFastest = topology.tiers[0]?.nodeIds.includes(fast.nodeId) === true;
  const sources = topology.paths.filter(({ promotionTargets }) => promotionTargets[0] === fast.nodeId);
  if (!isFastest || sources.length > 1 || path.promotionTargets.length > 1) return undefined;
  return {
    goal: { metric: 'node_eligible_mem_bp', nodeId: fast.nodeId, targetBp },
    comparedRanges: fast.ranges,
  };
}

/** `temporal` as the other tuner starts from a byte; filters of the core, as those that the operations layer has see pages, not regions. */
function canMeasure({ goalMetrics, goalTuners, splitFilters }: DamonFeatures): boolean {
  return splitFilters && goalMetrics.includes('node_eligible_mem_bp') && goalTuners.includes('temporal');
}

/** The kdamond with the goal on its promotions, watching what the goal compares with, which its schemes leave alone. Pure. */
export function limitHotShare(kdamond: DesiredKdamond, { goal, comparedRanges }: HotShareLimit): DesiredKdamond {
  const elsewhere: SchemeFilter[] = comparedRanges.map((range) => ({
    type: 'addr',
    range,
    matching: true,
    allow: false,
  }));
  const schemes = kdamond.schemes.map((scheme) => ({
    ...scheme,
    quota: isPromotion(scheme) ? { ...scheme.quota, goal } : scheme.quota,
    filters: [...elsewhere, ...scheme.filters],
  }));
  return { ...kdamond, comparedRanges, schemes };
}
