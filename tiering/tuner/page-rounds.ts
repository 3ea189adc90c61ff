import type { NodeObservation } from '../observation.ts';
import type { Policy } from '../policy.ts';
import type { Touched } from './page-chances.ts';
import { touchedAfterNone, touchedAgain } from './page-chances.ts';

/**
 * Pages told apart where regions mix. A region's rate is that of one random page a sample, so hot pages strewn over cold memory make no region hot. The kernel's
 * young filter looks at every page and clears its accessed bit: a page found young was touched since the last look, the window.
 *
 * A round fills the room of a fast node with pages touched within a window, from a short window to longer ones. Once the room is gone a round measures, by counts
 * alone, whether an exchange pays: see page-chances.ts.
 */

/** What this kernel and engine can see of pages: nothing; accessed bits can be cleared and acted upon; they can be counted, too (Linux 6.14). */
export type PageSight = 'none' | 'clears' | 'counts';

type Stage =
  | { readonly type: 'look'; readonly of: 'all' | 'slow'; readonly counts?: boolean }
  | { readonly type: 'wait'; readonly ms: number }
  | { readonly type: 'decide' }
  | { readonly type: 'fill' }
  | { readonly type: 'exchange' };

/** Bytes of a node in the present stage. */
interface Progress {
  readonly triedBytes: number;
  /** Of these, what the filter let pass. */
  readonly youngBytes: number;
}

/** Where the rounds of one fast node and the nodes that promote into it are. */
export interface PageRounds {
  /** What is still to do; nothing: a rest. */
  readonly stages: readonly Stage[];
  readonly windowMs: number;
  readonly stageSinceMs: number;
  readonly progress: ReadonlyMap<number, Progress>;
  /** When the accessed bits of slow nodes were last cleared. */
  readonly lookedAtMs: number;
  /** Of all slow nodes together, and of the fast one: counted after one window, and after a longer one. */
  readonly touchedBelow: readonly Touched[];
  readonly touchedAbove: readonly Touched[];
  /** Share of tried bytes that were young, of slow nodes together; of the fast node, that were not. Undefined: none was tried. */
  readonly promotedShare: number | undefined;
  readonly demotedShare: number | undefined;
  /** By the present run of rounds. */
  readonly promotedBytes: number;
  readonly restUntilMs: number;
  readonly restMs: number;
  /** The slow nodes' share of all accesses seen, smoothed, and the least that it was since this run of rounds began. Undefined: none were seen. */
  readonly slowShare: number | undefined;
  readonly leastSlowShare: number;
}

export const NO_PAGE_ROUNDS: PageRounds = {
  stages: [],
  windowMs: 0,
  stageSinceMs: 0,
  progress: new Map(),
  lookedAtMs: 0,
  touchedBelow: [],
  touchedAbove: [],
  promotedShare: undefined,
  demotedShare: undefined,
  promotedBytes: 0,
  restUntilMs: 0,
  restMs: 0,
  slowShare: undefined,
  leastSlowShare: 1,
};

export interface RoundContext {
  readonly nowMs: number;
  readonly sight: PageSight;
  readonly fast: NodeObservation;
  readonly slow: readonly NodeObservation[];
  /** Of the fast node, above what it must keep free. */
  readonly roomBytes: number;
  /** Of the node below. */
  readonly roomBelowBytes: number;
  /** The slow nodes' share of all accesses seen lately; undefined: none were seen. */
  readonly slowShare: number | undefined;
  /** Of slow nodes, what was seen touched at all. */
  readonly touchedBytes: number;
  /** Of the accesses to slow nodes, how many went to regions that are not plainly hot: those their rates tell apart well enough. */
  readonly lukewarmShare: number;
  /** Most that the policy lets move in one pass. */
  readonly limitBytes: number;
  readonly policy: Policy;
}

/** What a round wants of the next pass, in bytes to try; `undefined` leaves a direction to the regions' rates. */
export interface RoundOrders {
  readonly looks: ReadonlyMap<number, number>;
  readonly promotions?: ReadonlyMap<number, number>;
  readonly demotionBytes?: number;
  /** Nothing else may leave the fast node: its accessed bits are being counted, or what is touched now and then looks idle. */
  readonly holdsDemotions: boolean;
  readonly windowMs: number;
}

const MIB = 1024 * 1024;
/** Pages looked at in a second: an eighth of a core, as a look at one takes some 100 ns. */
const LOOK_BYTES_PER_SECOND = 4096 * MIB;
const SHORTEST_WINDOW_MS = 2_000;
/** When even that finds more than there is room for. */
const LEAST_WINDOW_MS = 500;
const SHORTEST_EXCHANGE_WINDOW_MS = 4_000;
const LONGEST_WINDOW_MS = 32_000;
/** So much must have been tried to tell how much of it is young. */
const JUDGED_BYTES = 32 * MIB;
/** Taken for young before any of it was tried; if all of it is, an order that serves two passes just fills the room. */
const FIRST_SHARE = 0.5;
const TOO_WIDE = 1.5;
const MOSTLY_WINDOW = 2 / 3;
/** Of a fast node, moved in one pass: what is swept in many passes is judged by windows that grow meanwhile. */
const STEP_SHARE = 1 / 8;
/** Of a node's ranges: what counts as all of it, as passes cut off a few pages. */
const WHOLE_SHARE = 0.97;
/** Less is not worth a round. */
const LEAST_TOUCHED_BYTES = 16 * MIB;
const LEAST_SLOW_SHARE = 0.03;
const LEAST_LUKEWARM_SHARE = 0.5;
const LEAST_ROOM_BYTES = 2 * MIB;
const LEAST_STEP_BYTES = 64 * MIB;
const LEAST_SWEPT_BYTES = MIB / 16;
/** How much likelier the next touch of a promoted page must be than that of a demoted one. */
const LEAST_GAIN = 0.05;
/** A run of rounds that has promoted less, as a share of the fast node, is followed by a longer rest. */
const WORTHWHILE_SHARE = 0.005;
const FIRST_REST_MS = 60_000;
const NEXT_REST = 4;
const MAX_REST_MS = 1_800_000;
/** So much more of the accesses go to slow nodes than before: other pages are hot, which short windows tell. */
const NEWS_SHARE = 0.15;
const SMOOTHING = 0.1;
const LEAST_SHARE = 0.02;
/** Passes may be late, not lost. */
const STAGE_PATIENCE_MS = 20_000;

/** Whether a node's rounds are under way. */
export function isUnderWay({ stages }: PageRounds): boolean {
  return stages.length > 0;
}

/** Where the rounds are after another look, and what they want next. Pure. */
export function pageRounds(before: PageRounds, context: RoundContext): readonly [PageRounds, RoundOrders | undefined] {
  if (!mayLook(context)) return [NO_PAGE_ROUNDS, undefined];
  const seen = noteSlowShare(before, context);
  let rounds = isUnderWay(seen) && !isNews(seen) ? noteFlows(seen, context) : begin(seen, context);
  // Each stage ends once at most.
  for (let left = 8; left > 0 && isUnderWay(rounds) && isOver(rounds, context); left -= 1)
    rounds = nextStage(rounds, context);
  return [rounds, isUnderWay(rounds) ? ordersFor(rounds, context) : undefined];
}

/** The window is as long at least as it takes to look at all pages twice; undefined: longer than any window. */
function shortestWindowMs({ fast, slow }: RoundContext): number | undefined {
  const bytes = [fast, ...slow].reduce((total, node) => total + rangeBytes(node), 0);
  const ms = Math.max(SHORTEST_WINDOW_MS, (2 * 1000 * bytes) / LOOK_BYTES_PER_SECOND);
  return ms > LONGEST_WINDOW_MS ? undefined : ms;
}

/** One touch in the longest window must be as much as the policy calls worth promoting. */
function longestWindowMs({ policy }: RoundContext): number {
  const { samplingIntervalMs, maxSamplingIntervalMs } = policy.monitoring;
  const longestSampleMs = samplingIntervalMs === 'auto' ? maxSamplingIntervalMs : samplingIntervalMs;
  return Math.min(LONGEST_WINDOW_MS, longestSampleMs / Math.max(1e-6, policy.promotion.minAccessRate));
}

function mayLook(context: RoundContext): boolean {
  const { sight, policy, fast, slow } = context;
  const mayMove = !policy.dryRun && policy.hotShare === 1 && policy.promotion.minAgeSeconds === 0;
  const isSeen = slow.length > 0 && [fast, ...slow].every(({ snapshot }) => snapshot !== undefined);
  if (sight === 'none' || !mayMove || !isSeen) return false;
  // Goes through all regions.
  const shortest = shortestWindowMs(context);
  return shortest !== undefined && shortest <= longestWindowMs(context);
}

function noteSlowShare(rounds: PageRounds, { slowShare: seen }: RoundContext): PageRounds {
  if (seen === undefined) return rounds;
  const slowShare = rounds.slowShare === undefined ? seen : rounds.slowShare + SMOOTHING * (seen - rounds.slowShare);
  return { ...rounds, slowShare, leastSlowShare: Math.min(rounds.leastSlowShare, slowShare) };
}

function isNews({ slowShare = 0, leastSlowShare }: PageRounds): boolean {
  return slowShare > leastSlowShare + NEWS_SHARE;
}

function begin(rounds: PageRounds, context: RoundContext): PageRounds {
  const { nowMs, touchedBytes, lukewarmShare } = context;
  const { slowShare = 0 } = rounds;
  const isDue = nowMs >= rounds.restUntilMs || isNews(rounds);
  const isWorthwhile = slowShare >= LEAST_SLOW_SHARE && touchedBytes >= LEAST_TOUCHED_BYTES;
  if (!isDue || !isWorthwhile || lukewarmShare < LEAST_LUKEWARM_SHARE) return rounds;
  const fresh = {
    ...rounds,
    windowMs: shortestWindowMs(context) ?? LONGEST_WINDOW_MS,
    promotedBytes: 0,
    stageSinceMs: nowMs,
    leastSlowShare: slowShare,
  };
  return startRound(fresh, context);
}

/** A round with the window as it is, or a rest when nothing can come of it. */
function startRound(rounds: PageRounds, context: RoundContext): PageRounds {
  const { windowMs } = rounds;
  if (windowMs > longestWindowMs(context)) return rest(rounds, context);
  if (hasRoom(context)) {
    return enter(rounds, [{ type: 'look', of: 'slow' }, { type: 'wait', ms: windowMs }, { type: 'fill' }], context);
  }
  if (context.sight !== 'counts' || context.roomBelowBytes < LEAST_ROOM_BYTES) return rest(rounds, context);
  const exchangeMs = Math.max(windowMs, SHORTEST_EXCHANGE_WINDOW_MS);
  const stages: readonly Stage[] = [
    { type: 'look', of: 'all' },
    { type: 'wait', ms: exchangeMs },
    { type: 'look', of: 'all', counts: true },
    { type: 'wait', ms: 2 * exchangeMs },
    { type: 'look', of: 'all', counts: true },
    { type: 'decide' },
    // The longer pages of the fast node have time to be touched, the surer are those cold that were not.
    { type: 'wait', ms: 2 * exchangeMs },
    { type: 'look', of: 'slow' },
    { type: 'wait', ms: exchangeMs },
    { type: 'exchange' },
  ];
  return enter(
    { ...rounds, windowMs: exchangeMs, touchedBelow: [], touchedAbove: [], demotedShare: undefined },
    stages,
    context,
  );
}

function enter(rounds: PageRounds, stages: readonly Stage[], { nowMs }: RoundContext): PageRounds {
  return { ...rounds, stages, stageSinceMs: nowMs, progress: new Map() };
}

function rest(rounds: PageRounds, { nowMs, fast }: RoundContext): PageRounds {
  const wasWorthwhile = rounds.promotedBytes >= WORTHWHILE_SHARE * fast.totalBytes;
  const restMs = wasWorthwhile
    ? FIRST_REST_MS
    : Math.min(MAX_REST_MS, Math.max(FIRST_REST_MS, rounds.restMs * NEXT_REST));
  const { slowShare, leastSlowShare } = rounds;
  return { ...NO_PAGE_ROUNDS, restMs, restUntilMs: nowMs + restMs, slowShare, leastSlowShare };
}

/** What has been looked at and moved since the last tick. */
function noteFlows(rounds: PageRounds, { fast, slow }: RoundContext): PageRounds {
  const [stage] = rounds.stages;
  if (stage === undefined || stage.type === 'wait' || stage.type === 'decide') return rounds;
  const progress = new Map(rounds.progress);
  const add = (nodeId: number, triedBytes: number, youngBytes: number) => {
    const known = progress.get(nodeId) ?? { triedBytes: 0, youngBytes: 0 };
    progress.set(nodeId, {
      triedBytes: known.triedBytes + triedBytes,
      youngBytes: known.youngBytes + youngBytes,
    });
  };
  if (stage.type === 'look') {
    for (const node of [fast, ...slow]) add(node.nodeId, node.lookedBytes ?? 0, node.youngBytes ?? 0);
    return { ...rounds, progress };
  }
  for (const node of slow) add(node.nodeId, node.promotionTriedBytes, node.promotedBytes);
  add(fast.nodeId, fast.demotionTriedBytes, 0);
  const promoted = slow.reduce((total, node) => total + node.promotedBytes, 0);
  const tried = slow.reduce((total, node) => total + node.promotionTriedBytes, 0);
  return {
    ...rounds,
    progress,
    promotedShare: smooth(rounds.promotedShare, tried, promoted),
    demotedShare: smooth(rounds.demotedShare, fast.demotionTriedBytes, fast.demotedBytes),
    promotedBytes: rounds.promotedBytes + promoted,
  };
}

function smooth(before: number | undefined, triedBytes: number, movedBytes: number): number | undefined {
  if (triedBytes < MIB) return before;
  const share = Math.min(1, movedBytes / triedBytes);
  return Math.max(LEAST_SHARE, before === undefined ? share : 0.3 * before + 0.7 * share);
}

function isOver(rounds: PageRounds, context: RoundContext): boolean {
  const { nowMs } = context;
  const [stage] = rounds.stages;
  const stageMs = nowMs - rounds.stageSinceMs;
  switch (stage?.type) {
    case undefined:
    case 'decide':
      return true;
    case 'wait':
      return stageMs >= stage.ms;
    case 'look':
      return hasLooked(stage.of, rounds, context) || stageMs > patienceMs(context);
    case 'fill':
      return isSwept(rounds, context) || !hasRoom(context) || isTooWide(rounds, context) || isLate(rounds, context);
    case 'exchange': {
      const mayMakeRoom = restOf(context.fast, rounds) > 0 && youngLeft(rounds, context) >= leastRoom(context);
      const isDone = isSwept(rounds, context) || (!hasRoom(context) && !mayMakeRoom);
      return isDone || isLate(rounds, context);
    }
  }
}

function hasLooked(of: 'all' | 'slow', rounds: PageRounds, context: RoundContext): boolean {
  return lookedAt(of, context).every((node) => restOf(node, rounds) === 0);
}

function isSwept(rounds: PageRounds, { slow }: RoundContext): boolean {
  return slow.every((node) => restOf(node, rounds) === 0);
}

function isLate({ stageSinceMs, windowMs }: PageRounds, context: RoundContext): boolean {
  return context.nowMs - stageSinceMs > windowMs + patienceMs(context);
}

/** Far more was touched within the window than there is room for: a shorter one finds what is hotter. */
function isTooWide(rounds: PageRounds, context: RoundContext): boolean {
  const { windowMs, promotedShare, lookedAtMs, stageSinceMs } = rounds;
  // Passes come late: what they take longer than the window is not made shorter with it.
  const isShortest = windowMs / 2 < LEAST_WINDOW_MS || windowMs < MOSTLY_WINDOW * (stageSinceMs - lookedAtMs);
  if (isShortest || sweptBytes(rounds, context) < JUDGED_BYTES) return false;
  const youngBytes = (promotedShare ?? 0) * context.slow.reduce((total, node) => total + rangeBytes(node), 0);
  return youngBytes > TOO_WIDE * (context.roomBytes + rounds.promotedBytes);
}

function sweptBytes({ progress }: PageRounds, { slow }: RoundContext): number {
  return slow.reduce((total, { nodeId }) => total + (progress.get(nodeId)?.triedBytes ?? 0), 0);
}

/** How long a look at everything may take, and a pass be late. */
function patienceMs(context: RoundContext): number {
  return STAGE_PATIENCE_MS + (shortestWindowMs(context) ?? LONGEST_WINDOW_MS);
}

function nextStage(rounds: PageRounds, context: RoundContext): PageRounds {
  const [stage, ...stages] = rounds.stages;
  const onward = enter(rounds, stages, context);
  switch (stage?.type) {
    case undefined:
      return rounds;
    case 'wait':
      return onward;
    case 'look':
      // Half a look tells nothing.
      if (!hasLooked(stage.of, rounds, context)) return rest(rounds, context);
      return { ...onward, lookedAtMs: context.nowMs, ...(stage.counts === true && counted(rounds, context)) };
    case 'decide':
      return pays(rounds) ? onward : longer(onward, context);
    case 'fill':
      if (isTooWide(rounds, context)) return startRound({ ...onward, windowMs: rounds.windowMs / 2 }, context);
      // What is young beyond the room is worth an exchange of the same window.
      return hasRoom(context) ? longer(onward, context) : startRound(onward, context);
    case 'exchange':
      return longer(onward, context);
  }
}

function longer(rounds: PageRounds, context: RoundContext): PageRounds {
  return startRound({ ...rounds, windowMs: rounds.windowMs * 2 }, context);
}

function counted(
  { progress, lookedAtMs, touchedBelow, touchedAbove }: PageRounds,
  { nowMs, slow, fast }: RoundContext,
) {
  const touched = (nodes: readonly NodeObservation[]): Touched => {
    const sum = (bytesOf: (node: NodeObservation) => number) => nodes.reduce((total, node) => total + bytesOf(node), 0);
    const youngBytes = sum(({ nodeId }) => progress.get(nodeId)?.youngBytes ?? 0);
    const movableBytes = sum((node) => node.movableBytes ?? node.totalBytes - node.freeBytes);
    return { share: Math.min(1, youngBytes / Math.max(1, movableBytes)), windowMs: nowMs - lookedAtMs };
  };
  return { touchedBelow: [...touchedBelow, touched(slow)], touchedAbove: [...touchedAbove, touched([fast])] };
}

/** Whether pages of slow nodes that are touched within a window are so again more often than those of the fast node that are not. */
function pays({ touchedBelow, touchedAbove }: PageRounds): boolean {
  return touchedAgain(touchedBelow) - touchedAfterNone(touchedAbove) >= LEAST_GAIN;
}

function lookedAt(of: 'all' | 'slow', { fast, slow }: RoundContext): readonly NodeObservation[] {
  return of === 'all' ? [fast, ...slow] : slow;
}

/** Bytes of a node that the present stage has not tried yet. */
function restOf(node: NodeObservation, { progress }: Pick<PageRounds, 'progress'>): number {
  const bytes = rangeBytes(node);
  const tried = progress.get(node.nodeId)?.triedBytes ?? 0;
  return tried >= WHOLE_SHARE * bytes ? 0 : bytes - tried;
}

function rangeBytes({ snapshot, totalBytes }: NodeObservation): number {
  if (snapshot === undefined) return totalBytes;
  return snapshot.regions.reduce((total, region) => total + region.end - region.start, 0);
}

function hasRoom(context: RoundContext): boolean {
  return context.roomBytes >= leastRoom(context);
}

function leastRoom({ fast }: RoundContext): number {
  return Math.max(LEAST_ROOM_BYTES, Math.min(0.005 * fast.totalBytes, 64 * MIB));
}

/** What the present sweep may still promote: as it has found so far, but where hot pages lie together the last pass may have found none. */
function youngLeft({ promotedShare = 1, touchedBelow, ...rounds }: PageRounds, { slow }: RoundContext): number {
  const share = Math.max(promotedShare, (touchedBelow[0]?.share ?? 0) / 2);
  return share * slow.reduce((total, node) => total + restOf(node, rounds), 0);
}

function ordersFor(rounds: PageRounds, context: RoundContext): RoundOrders {
  const [stage] = rounds.stages;
  const { windowMs } = rounds;
  const isExchange = rounds.stages.some(({ type }) => type === 'exchange');
  const isLukewarm = context.lukewarmShare >= LEAST_LUKEWARM_SHARE;
  // What is over its target has to go.
  const holdsDemotions = context.roomBytes >= 0 && (isExchange || isLukewarm);
  const none = { looks: new Map<number, number>(), holdsDemotions, windowMs };
  if (stage?.type === 'look') {
    const left = lookedAt(stage.of, context).filter((node) => restOf(node, rounds) > 0);
    // Somewhat more than is there: a pass that ends by its budget is resumed, and counts as none.
    const looks = left.map((node) => [node.nodeId, inOnePass(node, restOf(node, rounds) + MIB)] as const);
    return { ...none, looks: new Map(looks) };
  }
  if (stage?.type !== 'fill' && stage?.type !== 'exchange') return none;
  const { slow, fast, roomBytes, roomBelowBytes, limitBytes } = context;
  const stepBytes = Math.min(limitBytes, Math.max(LEAST_STEP_BYTES, STEP_SHARE * fast.totalBytes));
  const isKnown = (rounds.progress.get(fast.nodeId)?.triedBytes ?? 0) >= JUDGED_BYTES / 2;
  const leftBytes = slow.reduce((total, node) => total + restOf(node, rounds), 0);
  const isKnownBelow = rounds.promotedShare !== undefined;
  const usableBytes = Math.max(0, Math.min(roomBytes / (isKnownBelow ? 2 : 4), stepBytes));
  const promotions = new Map<number, number>();
  for (const node of slow) {
    const left = restOf(node, rounds);
    const share = leftBytes === 0 ? 0 : (usableBytes * left) / leftBytes;
    const bytes = hasRoom(context) ? inOnePass(node, Math.min(left, share / (rounds.promotedShare ?? FIRST_SHARE))) : 0;
    promotions.set(node.nodeId, sweeping(left, bytes));
  }
  if (stage.type === 'fill') return { ...none, promotions };
  const wantedBytes = Math.max(Math.min(youngLeft(rounds, context), stepBytes), 2 * leastRoom(context)) - roomBytes;
  // In two, as an order stands until the next one and may serve two passes.
  const halfBytes = Math.max(wantedBytes / 2, Math.min(wantedBytes, leastRoom(context)));
  const wantedTriedBytes = Math.max(0, Math.min(halfBytes, roomBelowBytes)) / (rounds.demotedShare ?? 1);
  // A little first, to see how much of it goes.
  const demotable = isKnown ? wantedTriedBytes : Math.min(wantedTriedBytes, JUDGED_BYTES / 2);
  const left = restOf(fast, rounds);
  return { ...none, promotions, demotionBytes: sweeping(left, inOnePass(fast, Math.min(demotable, left))) };
}

/** A scheme that is off forgets where its last pass ended. */
function sweeping(leftBytes: number, bytes: number): number {
  return leftBytes === 0 ? 0 : Math.max(bytes, LEAST_SWEPT_BYTES);
}

/** No more than DAMON may look at until the next pass. */
function inOnePass({ snapshot }: NodeObservation, bytes: number): number {
  const most = (LOOK_BYTES_PER_SECOND * (snapshot?.aggregationIntervalMs ?? 1000)) / 1000;
  return Math.floor(Math.max(0, Math.min(bytes, most)));
}
