import type { Reach } from './reach.ts';
import { further, nearer } from './reach.ts';

const MIB = 1024 * 1024;

/** Ordered bytes below this say nothing about success. */
const SIGNIFICANT_BYTES = 4 * MIB;
/** A pass that moved less than this share of its order failed. */
const FAILED_SHARE = 0.1;
/** The same when what is further away is no better: little is better than nothing. */
const LAST_FAILED_SHARE = 0.02;
/**
 * How often all candidates of a reach must have been tried in vain before it goes further. The first look with the young filter clears accessed bits
 * that are days old and moves nothing, so `cold` and `warm` get a second one.
 */
const ROUNDS_TO_GO_FURTHER = { idle: 1, cold: 2, warm: 2, colder: 1, any: 1 } as const;
/** As much is looked through in no time. */
const LEAST_IN_VAIN_BYTES = 1024 * MIB;
/** Passes with hardly a candidate tried: the pattern has run dry. */
const EMPTY_TICKS_TO_GO_FURTHER = 3;
/** However many candidates there are: so many steps in vain are enough to look elsewhere. */
const MOST_STEPS_IN_VAIN = 3;
const FIRST_REST_MS = 5_000;
/** A node over its target is tried again soon: memory must go. */
const MAX_REST_MS = 120_000;
/**
 * An exchange can wait: its second rest is this long and further ones longer, unless idle memory appears meanwhile. Each try costs passes over all
 * that cannot move, and finds some of the system's memory that was used only a minute ago.
 */
const EXCHANGE_REST_MS = 120_000;
const MAX_EXCHANGE_REST_MS = 600_000;
/** So much more of a kind of memory than what was tried in vain is worth another try, and so much moved ends the caution; as a share of the node. */
const NEW_SHARE = 0.02;
/** After so long without demand the next one starts with what is surely cold again. */
const FORGET_MS = 10_000;
/** So long it is taken for true that a node holds no single cold pages. */
const PAGES_LOOKED_FOR_MS = 900_000;
/** So long they are looked for. */
const LOOK_FOR_PAGES_MS = 30_000;

/** How a node's demotion has gone so far: which reach works, and whether to rest because nothing does. */
export interface DemotionEffort {
  readonly reach: Reach;
  /** Bytes tried since the last pass that moved something. */
  readonly failedBytes: number;
  readonly emptyTicks: number;
  readonly restUntilMs: number;
  /** Length of the last rest; 0 once enough has moved since. */
  readonly restMs: number;
  /** Since when single cold pages are looked for in vain, time and again. */
  readonly vainSinceMs: number;
  /** What there was when the last try ended in vain. */
  readonly inVain: ColdMemory;
  readonly movedSinceRestBytes: number;
  readonly lastDemandAtMs: number;
  /** Share of tried bytes that really moved, smoothed. */
  readonly efficiency: number;
}

/** Memory that may make room, whatever its age: without any access, and all that is less than hot. */
export interface ColdMemory {
  readonly idleBytes: number;
  readonly belowHotBytes: number;
}

export const FRESH_EFFORT: DemotionEffort = {
  reach: 'idle',
  failedBytes: 0,
  emptyTicks: 0,
  restUntilMs: 0,
  restMs: 0,
  vainSinceMs: Number.NEGATIVE_INFINITY,
  inVain: { idleBytes: 0, belowHotBytes: 0 },
  movedSinceRestBytes: 0,
  lastDemandAtMs: Number.NEGATIVE_INFINITY,
  efficiency: 1,
};

export interface DemotionResult {
  readonly nowMs: number;
  /** What the last tick ordered. */
  readonly orderedBytes: number;
  readonly triedBytes: number;
  readonly movedBytes: number;
  /** A new snapshot has come since the order, so a pass has been possible. */
  readonly hadPass: boolean;
  readonly furthest: Reach;
  /** All that the current reach holds, whatever its age: a try sets the age back, so each pass takes others. */
  readonly candidateBytes: number;
  readonly coldMemory: ColdMemory;
  readonly nodeTotalBytes: number;
  /** With few samples `cold` may mean the same regions as `idle`. */
  readonly isColdIdle: boolean;
  /** Beyond single cold pages there are only pages less hot than those that wait. */
  readonly isCrowded: boolean;
}

/** The effort after a tick: goes further when a reach fails, rests (twice as long each time) when even the furthest allowed reach fails. */
export function nextEffort(effort: DemotionEffort, result: DemotionResult): DemotionEffort {
  if (result.orderedBytes === 0) {
    if (result.nowMs - effort.lastDemandAtMs < FORGET_MS || result.nowMs < effort.restUntilMs) return effort;
    if (result.nowMs - effort.lastDemandAtMs > MAX_EXCHANGE_REST_MS) return FRESH_EFFORT;
    return { ...effort, reach: 'idle', failedBytes: 0, emptyTicks: 0 };
  }
  const movedSinceRestBytes = effort.movedSinceRestBytes + result.movedBytes;
  const current = {
    ...effort,
    lastDemandAtMs: result.nowMs,
    reach: nearer(effort.reach, result.furthest),
    movedSinceRestBytes,
    // A few MiB now and then are no sign that exchanges succeed again.
    restMs: movedSinceRestBytes >= NEW_SHARE * result.nodeTotalBytes ? 0 : effort.restMs,
  };
  if (result.triedBytes < Math.min(SIGNIFICANT_BYTES, result.orderedBytes / 2)) {
    if (!result.hadPass) return current;
    const emptyTicks = current.emptyTicks + 1;
    return emptyTicks < EMPTY_TICKS_TO_GO_FURTHER ? { ...current, emptyTicks } : goFurther(current, result);
  }
  const share = result.movedBytes / result.triedBytes;
  const efficiency = 0.5 * current.efficiency + 0.5 * Math.min(1, share);
  if (result.movedBytes >= 0.5 * result.triedBytes) {
    return { ...current, efficiency, failedBytes: 0, emptyTicks: 0 };
  }
  const isBest = current.reach === 'any' || (current.reach !== 'idle' && result.isCrowded);
  const failedShare = isBest ? LAST_FAILED_SHARE : FAILED_SHARE;
  if (result.triedBytes < SIGNIFICANT_BYTES || share >= failedShare)
    return { ...current, efficiency, failedBytes: 0, emptyTicks: 0 };
  const failedBytes = current.failedBytes + result.triedBytes;
  const enough = ROUNDS_TO_GO_FURTHER[current.reach] * result.candidateBytes;
  if (failedBytes < Math.min(enough, Math.max(MOST_STEPS_IN_VAIN * result.orderedBytes, LEAST_IN_VAIN_BYTES))) {
    return { ...current, efficiency, failedBytes, emptyTicks: 0 };
  }
  const onward = goFurther({ ...current, efficiency }, result);
  // All of them have just been tried, without the young filter even.
  const isSame = (onward.reach === 'cold' && result.isColdIdle) || (onward.reach === 'warm' && result.isCrowded);
  return current.reach !== onward.reach && isSame ? goFurther(onward, result) : onward;
}

/** Whether cold pages have been looked for one by one, and there were none: only then is a region's rate taken for that of all its pages. */
export function hasLookedForPages({ vainSinceMs }: DemotionEffort, nowMs: number): boolean {
  const lookedMs = nowMs - vainSinceMs;
  return lookedMs >= LOOK_FOR_PAGES_MS && lookedMs < PAGES_LOOKED_FOR_MS;
}

/** Whether to wait before the next try: a rest ends early when more memory has become idle than what was tried in vain. */
export function isResting(effort: DemotionEffort, nowMs: number, idleBytes: number, nodeTotalBytes: number): boolean {
  return nowMs < effort.restUntilMs && idleBytes < effort.inVain.idleBytes + NEW_SHARE * nodeTotalBytes;
}

/** Whether the last exchange was in vain, and neither has enough moved since nor is much more memory colder than hot than was tried then. */
export function isCautious(effort: DemotionEffort, belowHotBytes: number, nodeTotalBytes: number): boolean {
  return effort.restMs > 0 && belowHotBytes < effort.inVain.belowHotBytes + NEW_SHARE * nodeTotalBytes;
}

function goFurther(effort: DemotionEffort, { nowMs, furthest, coldMemory, isCrowded }: DemotionResult): DemotionEffort {
  const reach = further(effort.reach, furthest);
  // Other memory: what failed before says nothing of it.
  if (reach !== effort.reach) return { ...effort, reach, failedBytes: 0, emptyTicks: 0, efficiency: 1 };
  // Single cold pages between hot ones take many tries: those are not given up soon.
  const isLooking = isCrowded && furthest === 'cold';
  const isFirst = nowMs - effort.vainSinceMs > PAGES_LOOKED_FOR_MS;
  const isEarly = isFirst || nowMs - effort.vainSinceMs < 2 * LOOK_FOR_PAGES_MS;
  const restMs = isLooking && isEarly ? FIRST_REST_MS : nextRestMs(effort.restMs, furthest === 'any');
  return {
    ...effort,
    reach: 'idle',
    failedBytes: 0,
    emptyTicks: 0,
    restMs,
    restUntilMs: nowMs + restMs,
    vainSinceMs: isLooking && isFirst ? nowMs : effort.vainSinceMs,
    inVain: coldMemory,
    movedSinceRestBytes: 0,
  };
}

function nextRestMs(restMs: number, isOverTarget: boolean): number {
  if (restMs === 0) return FIRST_REST_MS;
  if (isOverTarget) return Math.min(MAX_REST_MS, restMs * 2);
  return Math.min(MAX_EXCHANGE_REST_MS, Math.max(EXCHANGE_REST_MS, restMs * 2));
}
