import type { MigrationPath } from '../../numa/topology.ts';
import { bytesFrom } from '../heat/heat-histogram.ts';
import type { NodeObservation } from '../observation.ts';
import { kernelBytesOf } from '../observation.ts';
import type { Policy } from '../policy.ts';
import type { NodeSnapshot } from '../snapshot.ts';
import { hasLookedForPages, isCautious, isResting } from './demotion-effort.ts';
import type { ExchangeGain } from './exchange-gain.ts';
import { exchangeLimit, watchExchangeGain } from './exchange-gain.ts';
import type { HotSpread } from './hot-share.ts';
import { ALL_FAST, EXCESS_TICKS, spreadHotMemory } from './hot-share.ts';
import type { HeatLevels } from './levels.ts';
import { surelyHotBytes } from './levels.ts';
import type { NodeTuning } from './node-tuning.ts';
import { coldMemoryOf, demotionLimit, isTooYoungToBeIdle } from './node-tuning.ts';
import type { DemotionOrder, Order } from './order.ts';
import type { PingPongWatch } from './ping-pong.ts';
import { watchPingPong } from './ping-pong.ts';
import type { Reach } from './reach.ts';
import { bytesInReach, further, hotMemory, promotionBounds, REACHES, reachBounds } from './reach.ts';

const MIB = 1024 * 1024;

/** Promotions smaller than this are not worth a commit, and fewer hot bytes not worth beginning with. */
const MIN_PROMOTION_BYTES = MIB / 2;
const MIN_FIRST_PROMOTION_BYTES = 2 * MIB;
/** From here on a promotion begins at once; less must have been seen twice, as a few MiB flicker. */
const SURE_PROMOTION_BYTES = 16 * MIB;
/** Over the target by less than this is not worth moving: applications allocate and free all the time. */
const SLACK_SHARE = 0.01;
/** Fewer hot bytes waiting than this do not push others out; they wait for room. */
const EXCHANGE_SHARE = 0.005;
/** The same where warm memory trades places with hot memory: less of it gains less than it costs to try. */
const CROWDED_EXCHANGE_SHARE = 0.01;
/** Above this a share of a large node is no longer little. */
const MOST_SLACK_BYTES = 1024 * MIB;
/** Less than this is not exchanged by the rates of regions alone: as much differs where hot pages share regions with what cannot move. */
const BY_RATE_SHARE = 0.1;
const MOST_BY_RATE_BYTES = 8 * 1024 * MIB;
/** A reach whose candidates are less than this share of the demand is passed over. */
const WORTHWHILE_SHARE = 0.25;
/** The least efficiency to count on when an order is raised for what will fail. */
const MIN_EFFICIENCY = 0.5;
/** Over the target by less than this, hot memory stays: it would only be promoted again. */
const HOT_TOLERANCE_SHARE = 0.02;
/** Demands this small are met in one go. */
const SMALL_DEMAND_BYTES = 16 * MIB;
/** Of averaged heat, as a class: less does not fill room. */
const FILLING_CLASS = 2;
/** What does not move costs next to nothing, so a step may try so much more; not without bound, as it may yet move. */
const MIN_STEP_EFFICIENCY = 1 / 8;
/** Of an order that is off: nothing. */
const NO_BOUNDS = { minNrAccesses: 0, maxNrAccesses: 0, minAge: 0, checkYoung: false };

/** Hot bytes that still wait on a node: those of its snapshot but for what has been promoted since. */
export function waitingOn(
  { snapshot, heat }: NodeObservation,
  tuning: NodeTuning,
  policy: Policy,
): Pick<Source, 'hot' | 'likelyHot' | 'filling'> {
  if (snapshot === undefined) return { hot: 0, likelyHot: 0, filling: 0 };
  const promoted = sum(tuning.unseenPromotions.map((promotion) => promotion.bytes));
  const left = (bytes: number) => Math.max(0, bytes - promoted);
  const touched = bytesInReach(snapshot, promotionBounds(policy, snapshot, true));
  // One access now and then is no heat: cold pages would fill the room.
  const filling = left(heat === undefined ? touched : Math.min(touched, bytesFrom(heat.likely, FILLING_CLASS)));
  const { bytes, likelyBytes } = hotMemory(snapshot, policy);
  if (snapshot.levels?.isCrowded === true && heat !== undefined) {
    const hot = Math.min(filling, left(surelyHotBytes(heat, snapshot.levels)));
    return { hot, likelyHot: hot, filling };
  }
  const hot = left(bytes);
  return { hot, likelyHot: bytes === 0 ? 0 : (hot * likelyBytes) / bytes, filling };
}

export interface Source {
  readonly node: NodeObservation;
  readonly tuning: NodeTuning;
  readonly hot: number;
  /** Of these, what is hot itself rather than mixed in; see HotMemory. */
  readonly likelyHot: number;
  /** What may go up while there is room, the hot bytes among them. */
  readonly filling: number;
}

interface OrderContext {
  readonly nowMs: number;
  readonly node: NodeObservation;
  readonly tuning: NodeTuning;
  readonly levels: HeatLevels | undefined;
  readonly path: MigrationPath;
  readonly sources: readonly Source[];
  readonly keepFree: number;
  /** Of the hot memory here and below, how much shall be here. */
  readonly hotShare: number;
  readonly below: NodeObservation | undefined;
  /** Its share of what the node below has room for. */
  readonly roomBelow: number;
  readonly pushedDownBytes: number;
  readonly policy: Policy;
}

interface OrderPlan {
  readonly promotions: ReadonlyMap<number, Order>;
  readonly demotion: DemotionOrder;
  readonly waitingBytes: number;
  /** Wanted to go down, but the node below has no room. */
  readonly blockedBytes: number;
  readonly pingPong: PingPongWatch;
  readonly exchangeGain: ExchangeGain;
  readonly hotExcessTicks: number;
}

/** Orders around one node: promotions into it and the demotion out of it, which share its room. */
export function orderFor(context: OrderContext): OrderPlan {
  const { node, tuning, keepFree, nowMs } = context;
  const spread = spreadAround(context);
  const sources = context.sources.map((source) => ({
    ...source,
    hot: source.hot * spread.promotableShare,
    likelyHot: source.likelyHot * spread.promotableShare,
    // What is only warm fills no room while even of the hot memory a part stays below.
    filling: context.hotShare < 1 ? source.hot * spread.promotableShare : source.filling,
  }));
  const room = node.freeBytes - keepFree;
  const waitingBytes = sum(sources.map((source) => source.hot));
  // Single pages have their own judge.
  const byRegion = sources.filter((source) => source.tuning.lastOrders.promotion?.isSweep !== true);
  const promotedByRegion = sum(byRegion.map((source) => source.node.promotedBytes));
  const pingPong = watchPingPong(tuning.pingPong, {
    nowMs,
    nodeTotalBytes: node.totalBytes,
    waitingBytes,
    promotedBytes: promotedByRegion,
    demotedBytes: tuning.lastOrders.demotion?.isSweep === true ? 0 : node.demotedBytes,
  });

  const { levels } = context;
  const isCrowded = levels?.isCrowded === true;
  const seen = {
    nowMs,
    fastHeat: node.heat?.seenHeatBytes ?? 0,
    slowHeat: sum(sources.map((source) => source.node.heat?.seenHeatBytes ?? 0)),
    promotedBytes: isCrowded ? Math.min(node.demotedBytes, promotedByRegion) : 0,
    heatDifference: isCrowded ? levels.exchange.heatDifference : 0,
    isByRate: tuning.lastOrders.demotion?.reach === 'colder',
  };
  const exchangeGain = watchExchangeGain(tuning.exchangeGain, seen);

  const cautious = isCautiousOn(node, tuning, context.policy);
  const promotions = promotionsInto(sources, room, cautious, context);
  const promotedNext = sum([...promotions.values()].map((order) => order.budgetBytes));

  const gainsNothing = isCrowded && nowMs < exchangeGain.holdUntilMs;
  const onHold = nowMs < pingPong.holdUntilMs || (gainsNothing && !exchangeGain.holdsRatesOnly);
  const tradeableBytes = isCrowded
    ? Math.min(levels.exchange.bytes, exchangeLimit(exchangeGain, seen))
    : Number.POSITIVE_INFINITY;
  const leastTrade = slackOf(isCrowded ? CROWDED_EXCHANGE_SHARE : EXCHANGE_SHARE, node);
  const wantsExchange =
    Math.min(waitingBytes, isCrowded ? levels.exchange.bytes : waitingBytes) >= leastTrade && !onHold;
  const nextPromotion = wantsExchange
    ? Math.min(
        tradeableBytes,
        sum(
          sources
            .map((source) =>
              Math.min(
                source.likelyHot * source.tuning.promotionEfficiency -
                  (promotions.get(source.node.nodeId)?.budgetBytes ?? 0),
                // Room for two: an order may serve two passes, so no more than half the room is used at a time.
                2 * source.tuning.promotionPace.stepBytes,
              ),
            )
            .map((bytes) => Math.max(0, bytes)),
        ),
      )
    : 0;
  const mayGoByRate =
    isCrowded && levels.exchange.bytes >= Math.min(BY_RATE_SHARE * node.totalBytes, MOST_BY_RATE_BYTES);
  const overTarget = Math.max(0, -room);
  const slack = slackOf(SLACK_SHARE, node);
  const wanted = nextPromotion + context.pushedDownBytes - (room - promotedNext);
  const demotion = demotionOut(context, {
    demandBytes: nextPromotion + context.pushedDownBytes > 0 || overTarget > slack ? Math.max(0, wanted) : 0,
    isOverTarget: overTarget > slack,
    overTarget,
    mayTakeHot: overTarget > slackOf(HOT_TOLERANCE_SHARE, node) || node.freeBytes < node.highWatermarkBytes,
    waitingBytes,
    onHold,
    // Single pages that nobody touches may go all the same.
    furthest: !isCrowded
      ? 'warm'
      : mayGoByRate && !gainsNothing && hasLookedForPages(tuning.effort, nowMs)
        ? 'colder'
        : 'cold',
  });
  const hotExcessTicks = spread.demotableBytes === 0 ? 0 : tuning.hotExcessTicks + 1;
  const all = { promotions, pingPong, exchangeGain, waitingBytes: sum(context.sources.map((source) => source.hot)) };
  if (demotion.demotion.budgetBytes > 0 || hotExcessTicks < EXCESS_TICKS)
    return { ...all, ...demotion, hotExcessTicks };
  if (node.snapshot === undefined) return { ...all, ...demotion, hotExcessTicks };
  const hot = hotDemotion(context, spread.demotableBytes, node.snapshot);
  return { ...all, blockedBytes: 0, demotion: hot, hotExcessTicks: 0 };
}

function spreadAround({ node, sources, hotShare, policy }: OrderContext): HotSpread {
  // To look for the hottest of all regions is work, each tick.
  if (hotShare >= 1) return ALL_FAST;
  const seen = node.snapshot === undefined ? 0 : hotMemory(node.snapshot, policy).likelyBytes;
  const notSeenYet = sum(sources.flatMap(({ tuning }) => tuning.unseenPromotions.map(({ bytes }) => bytes)));
  const waitingBytes = sum(sources.map((source) => source.likelyHot));
  return spreadHotMemory({ aboveBytes: seen + notSeenYet, waitingBytes, hotShare });
}

/** Hot memory that leaves for hotShare's sake, the least hot first. */
function hotDemotion(context: OrderContext, demotableBytes: number, snapshot: NodeSnapshot): DemotionOrder {
  const { node, tuning, roomBelow, policy } = context;
  const limit = Math.min(demotionLimit(node, policy), tuning.demotionPace.stepBytes, roomBelow);
  const budgetBytes = Math.floor(Math.min(inTwo(demotableBytes), limit));
  return {
    budgetBytes: budgetBytes >= MIN_PROMOTION_BYTES ? budgetBytes : 0,
    reach: 'hot',
    bounds: reachBounds('hot', policy, snapshot),
    furthest: 'warm',
    reason: `${mib(demotableBytes)} hot more than hotShare ${context.hotShare} keeps here`,
  };
}

/** Hot bytes go up as far as there is room, shared among the nodes they wait on; what is left of it, what is touched at all. */
function promotionsInto(
  sources: readonly Source[],
  room: number,
  isCautious: boolean,
  { node, policy }: OrderContext,
): Map<number, Order> {
  const hotBytes = sum(sources.map(({ hot }) => hot));
  const fillBytes = sum(sources.map(({ filling }) => filling));
  const step = sum(sources.map(({ tuning }) => tuning.promotionPace.stepBytes));
  // Room for hot memory is made for hot memory.
  const isFill = hotBytes === 0 || room > hotBytes + slackOf(SLACK_SHARE, node);
  const waitingBytes = isFill ? fillBytes : hotBytes;
  const usableRoom = usableOf(room, waitingBytes, isCautious, node, step);
  const promotions = new Map<number, Order>();
  for (const source of sources) {
    const { tuning, hot } = source;
    const wanted = isFill ? source.filling : hot;
    const share = waitingBytes > 0 ? (usableRoom * wanted) / waitingBytes : 0;
    const budget = Math.floor(Math.min(wanted, share, tuning.promotionPace.stepBytes));
    const isUnderWay = (tuning.lastOrders.promotion?.budgetBytes ?? 0) > 0;
    const isSure = hot >= SURE_PROMOTION_BYTES || tuning.lastHotBytes >= MIN_FIRST_PROMOTION_BYTES;
    const least = isUnderWay ? MIN_PROMOTION_BYTES : isSure ? MIN_FIRST_PROMOTION_BYTES : SURE_PROMOTION_BYTES;
    const budgetBytes = budget >= least ? budget : 0;
    const { snapshot } = source.node;
    const bounds = snapshot === undefined ? NO_BOUNDS : promotionBounds(policy, snapshot, isFill);
    const reason = promotionReason(hot, source.filling, room);
    promotions.set(source.node.nodeId, { budgetBytes, bounds, reason, ...(isFill && { isFill }) });
  }
  return promotions;
}

/**
 * How much of the room to fill now. A few MiB come and go with every allocation: to fill them would be to demote again soon, all the more when exchanges
 * were in vain, as all room is then what programs have freed and will want again. Half a step is never little: it may be all the room that was made.
 */
function usableOf(
  room: number,
  waitingBytes: number,
  isCautious: boolean,
  node: NodeObservation,
  stepBytes: number,
): number {
  if (waitingBytes <= room) return room;
  if (room < Math.min(slackOf(isCautious ? SLACK_SHARE : EXCHANGE_SHARE, node), stepBytes / 2)) return 0;
  return isCautious ? room / 2 : inTwo(room);
}

/** What is too little to act on: a share of a node, and on large ones no more than programs take and give back at a time. */
function slackOf(share: number, { totalBytes }: NodeObservation): number {
  return Math.min(share * totalBytes, MOST_SLACK_BYTES);
}

function isCautiousOn(node: NodeObservation, tuning: NodeTuning, policy: Policy): boolean {
  return isCautious(tuning.effort, coldMemoryOf(node, policy).belowHotBytes, node.totalBytes);
}

/** Half of a limit that must not be passed: an order stands until the next one and may serve two passes. */
function inTwo(bytes: number): number {
  return Math.max(bytes / 2, Math.min(bytes, SMALL_DEMAND_BYTES));
}

function promotionReason(hot: number, filling: number, room: number): string {
  if (hot === 0 && filling > 0) return `${mib(filling)} warm wait, room for ${mib(Math.max(0, room))}`;
  if (hot === 0) return 'nothing hot waits';
  return `${mib(hot)} hot wait, room for ${mib(Math.max(0, room))}`;
}

interface DemotionDemand {
  readonly demandBytes: number;
  readonly isOverTarget: boolean;
  readonly overTarget: number;
  /** So far over the target, or so short of free memory, that hot memory has to go if nothing colder is left. */
  readonly mayTakeHot: boolean;
  readonly waitingBytes: number;
  readonly onHold: boolean;
  /** How far an exchange may reach. */
  readonly furthest: Reach;
}

/** Coldest first, as far as the node below has room, and only as far up the scale as the demand allows. */
function demotionOut(context: OrderContext, demand: DemotionDemand): { demotion: DemotionOrder; blockedBytes: number } {
  const { node, tuning, below, roomBelow, policy, nowMs } = context;
  const { snapshot } = node;
  const off = (reason: string, blockedBytes = 0) => ({
    demotion: { budgetBytes: 0, bounds: NO_BOUNDS, reach: 'idle' as const, furthest: 'warm' as const, reason },
    blockedBytes,
  });
  if (below === undefined || snapshot === undefined) return off('no snapshot yet');
  if (demand.demandBytes === 0)
    return off(demand.onHold ? 'on hold: what was demoted came straight back' : 'enough room');
  const idleBytes = bytesInReach(snapshot, reachBounds('idle', policy, snapshot));
  if (isResting(tuning.effort, nowMs, idleBytes, node.totalBytes))
    return off('resting: nothing that may move would move');

  const demandBytes = Math.min(demand.demandBytes, roomBelow);
  const blockedBytes = demand.demandBytes - demandBytes;
  if (demandBytes < MIN_PROMOTION_BYTES) return off(`node ${below.nodeId} below has no room`, blockedBytes);

  // Once it is crowded, what exchanges gain says when to be cautious.
  const isCautiously = context.levels?.isCrowded !== true && isCautiousOn(node, tuning, policy);
  const forExchange = isCautiously ? 'idle' : demand.furthest;
  const furthest = demand.mayTakeHot ? 'any' : forExchange;
  const reach = isTooYoungToBeIdle(tuning.firstSnapshotAtMs, policy, nowMs)
    ? 'idle'
    : reachFor(node, tuning.effort.reach, demandBytes, furthest, policy);
  // Not for exchanges: each try sets ages back, and what is about to be idle would have to wait again.
  const triesPerMove = demand.isOverTarget ? 1 / Math.max(MIN_STEP_EFFICIENCY, tuning.effort.efficiency) : 1;
  const stepBytes = Math.min(demotionLimit(node, policy), tuning.demotionPace.stepBytes * triesPerMove);
  // Hot memory makes no room for other hot memory.
  const neededBytes = reach === 'any' ? Math.min(demandBytes, demand.overTarget) : demandBytes;
  // A target must not be passed, and all that is tried may move: no more for what has failed.
  const wantedBytes = demand.isOverTarget
    ? inTwo(neededBytes)
    : neededBytes / Math.max(MIN_EFFICIENCY, tuning.effort.efficiency);
  const budgetBytes = Math.floor(Math.min(wantedBytes, stepBytes));
  const why = demand.isOverTarget
    ? `${mib(demand.overTarget)} over its target`
    : `room for ${mib(demand.waitingBytes)} hot that wait below`;
  return {
    demotion: {
      budgetBytes,
      reach,
      bounds: boundsFor(node, snapshot, reach, demandBytes, policy),
      furthest,
      reason: `${mib(demandBytes)} ${reach} wanted: ${why}`,
    },
    blockedBytes,
  };
}

/**
 * The nearest reach, from what has worked, with candidates worth a pass. It need not cover the demand: what is surely cold goes first, and
 * the next pass sees what is left.
 */
function reachFor(node: NodeObservation, from: Reach, demandBytes: number, furthest: Reach, policy: Policy): Reach {
  const { snapshot } = node;
  if (snapshot === undefined) return from;
  let reach = REACHES.indexOf(from) <= REACHES.indexOf(furthest) ? from : furthest;
  // Rates alone are the last resort, not for want of candidates.
  const isAsFarAsIt = () => reach === furthest || (reach === 'cold' && furthest === 'colder');
  while (!isAsFarAsIt() && candidateBytes(node, snapshot, reach, policy) < WORTHWHILE_SHARE * demandBytes) {
    reach = further(reach, furthest);
  }
  return reach;
}

/** What was seen untouched, and not for long enough to be idle, goes too, unless nearly all of it is free memory and the kernel's own. */
function boundsFor(node: NodeObservation, snapshot: NodeSnapshot, reach: Reach, demandBytes: number, policy: Policy) {
  const bounds = reachBounds(reach, policy, snapshot);
  if (reach !== 'cold' || bounds.minNrAccesses === 0) return bounds;
  const untouched = bytesInReach(snapshot, { minNrAccesses: 0, maxNrAccesses: 0, minAge: 0 });
  // Much of the kernel's own memory shares regions with what is touched.
  const kernelBytes = kernelBytesOf(node);
  return untouched - node.freeBytes - kernelBytes / 2 >= WORTHWHILE_SHARE * demandBytes
    ? { ...bounds, minNrAccesses: 0 }
    : bounds;
}

/** What a reach holds that may move: free memory, and the kernel's own, looks like the coldest of all. */
function candidateBytes(node: NodeObservation, snapshot: NodeSnapshot, reach: Reach, policy: Policy): number {
  const bytes = bytesInReach(snapshot, reachBounds(reach, policy, snapshot));
  if (reach !== 'idle' || node.movableBytes === undefined) return bytes;
  return bytes - (node.totalBytes - node.movableBytes);
}

function sum(values: readonly number[]): number {
  return values.reduce((total, value) => total + value, 0);
}

function mib(bytes: number): string {
  return `${Math.round(bytes / MIB)} MiB`;
}
