import type { HeatHistogram } from '../heat/heat-histogram.ts';
import { heatClass, shareOfClass } from '../heat/heat-histogram.ts';
import type { Policy } from '../policy.ts';
import type { HeatLevels } from './levels.ts';
import { LEAST_EXCHANGE_SHARE } from './levels.ts';

/** How DAMON samples, all nodes alike. */
export interface Intervals {
  readonly samplingIntervalMs: number;
  readonly aggregationIntervalMs: number;
}

/** Samples in an aggregation: the largest possible nr_accesses. */
export function samplesIn({ samplingIntervalMs, aggregationIntervalMs }: Intervals): number {
  return Math.max(1, Math.floor(aggregationIntervalMs / samplingIntervalMs));
}

/** What the intervals are and since when. */
export interface IntervalTuning extends Intervals {
  readonly changedAtMs: number;
}

/** Samples in an aggregation, when nothing else is asked for. */
const SAMPLES = 10;
/** What a policy begins with that does not say. */
export const FIRST_SAMPLING_MS = 50;
/** Share of samples that the border's heat should show in: where differences of heat show best. */
const BEST_SHARE = 0.3;
/** Within these nothing is changed: a change costs what has been learned. */
const LOW_SHARE = 0.1;
const HIGH_SHARE = 0.6;
/** While single pages are looked at: passes follow aggregations, and windows are seconds. */
const MOST_WITH_PAGES_MS = FIRST_SAMPLING_MS;
/** At most by this factor at a time. */
const MAX_CHANGE = 4;
/** Aggregations to wait for after a change. */
const PATIENCE_AGGREGATIONS = 8;
/** So much of all accesses must go to slow nodes before colder memory is worth looking for. */
const WORTHWHILE_SLOW_SHARE = 0.03;

/** The intervals that a policy fixes, or begins with. */
export function firstIntervals({ monitoring }: Pick<Policy, 'monitoring'>): Intervals {
  const { samplingIntervalMs: sampling, aggregationIntervalMs: aggregation } = monitoring;
  if (sampling !== 'auto')
    return {
      samplingIntervalMs: sampling,
      aggregationIntervalMs: aggregation === 'auto' ? sampling * SAMPLES : aggregation,
    };
  if (aggregation !== 'auto') return { samplingIntervalMs: aggregation / SAMPLES, aggregationIntervalMs: aggregation };
  return bySampling(clampTo(monitoring, FIRST_SAMPLING_MS));
}

/** The intervals to sample with now: as the policy fixes them, else as last tuned, within what it allows. */
export function intervalsInForce(policy: Pick<Policy, 'monitoring'>, tuned: Intervals | undefined): Intervals {
  const { samplingIntervalMs, aggregationIntervalMs } = policy.monitoring;
  const isTuned = samplingIntervalMs === 'auto' && aggregationIntervalMs === 'auto';
  return isTuned && tuned !== undefined
    ? bySampling(clampTo(policy.monitoring, tuned.samplingIntervalMs))
    : firstIntervals(policy);
}

/** The longest aggregation that a policy allows. */
export function longestAggregationMs(policy: Pick<Policy, 'monitoring'>): number {
  const longest = { samplingIntervalMs: policy.monitoring.maxSamplingIntervalMs, aggregationIntervalMs: 0 };
  return intervalsInForce(policy, longest).aggregationIntervalMs;
}

/** What the tuner sees of a fast node and those below it. */
export interface HeatAround {
  readonly levels: HeatLevels;
  readonly fast: HeatHistogram;
  readonly slow: readonly HeatHistogram[];
}

/**
 * The intervals for the next while: so long that the heat at the border between what fits into fast memory and what does not lies well inside the scale. Too
 * short, and warm memory looks untouched; too long, and all that is touched looks equally hot. Pure.
 */
export function tuneIntervals(
  before: IntervalTuning | undefined,
  policy: Policy,
  around: readonly HeatAround[],
  nowMs: number,
  looksAtPages = false,
): IntervalTuning {
  const { monitoring } = policy;
  const first = firstIntervals(policy);
  const isFixed = monitoring.samplingIntervalMs !== 'auto' || monitoring.aggregationIntervalMs !== 'auto';
  if (before === undefined || isFixed) return { ...first, changedAtMs: before?.changedAtMs ?? nowMs };
  const inForce = intervalsInForce(policy, before);
  if (inForce.samplingIntervalMs !== before.samplingIntervalMs) return { ...inForce, changedAtMs: nowMs };
  const longestMs = looksAtPages ? MOST_WITH_PAGES_MS : Number.POSITIVE_INFINITY;
  if (before.samplingIntervalMs > longestMs)
    return { ...bySampling(clampTo(monitoring, longestMs)), changedAtMs: nowMs };
  if (nowMs - before.changedAtMs < PATIENCE_AGGREGATIONS * before.aggregationIntervalMs) return before;
  const wishes = around.map((one) => wishFor(one, before.samplingIntervalMs));
  // The hottest border counts: what is too short for another node costs it time, what is too long would blind this one.
  const wishMs = Math.min(...wishes);
  if (!Number.isFinite(wishMs)) return before;
  const { samplingIntervalMs } = before;
  const limited = Math.min(samplingIntervalMs * MAX_CHANGE, Math.max(samplingIntervalMs / MAX_CHANGE, wishMs));
  const next = clampTo(monitoring, Math.min(longestMs, Math.round(limited)));
  return next === samplingIntervalMs ? before : { ...bySampling(next), changedAtMs: nowMs };
}

function wishFor({ levels, fast, slow }: HeatAround, samplingMs: number): number {
  const share = shareOfClass(levels.borderClass);
  if (levels.isCrowded && share >= LOW_SHARE && share <= HIGH_SHARE) return samplingMs;
  if (levels.isCrowded) return (samplingMs * Math.log(1 - BEST_SHARE)) / Math.log(1 - share);
  const slowHeat = slow.reduce((total, histogram) => total + heatOf(histogram), 0);
  const seenHeat = slow.reduce((total, histogram) => total + heatOf(histogram, heatClass(LEAST_EXCHANGE_SHARE)), 0);
  const isWorthwhile = slowHeat > WORTHWHILE_SLOW_SHARE * (slowHeat + heatOf(fast));
  // What is plain to see goes up first.
  return isWorthwhile && seenHeat < slowHeat / 2 ? samplingMs * MAX_CHANGE : Number.POSITIVE_INFINITY;
}

/** Bytes times share of samples, of the classes from `from` up. */
export function heatOf({ likely }: HeatHistogram, from = 0): number {
  return likely.reduce((total, bytes, heat) => (heat < from ? total : total + bytes * shareOfClass(heat)), 0);
}

function bySampling(samplingIntervalMs: number): Intervals {
  return { samplingIntervalMs, aggregationIntervalMs: samplingIntervalMs * SAMPLES };
}

function clampTo({ minSamplingIntervalMs, maxSamplingIntervalMs }: Policy['monitoring'], ms: number): number {
  return Math.min(maxSamplingIntervalMs, Math.max(minSamplingIntervalMs, ms));
}
