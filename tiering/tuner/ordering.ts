import type { MigrationPath } from '../../numa/topology.ts';
import type { NodeObservation } from '../observation.ts';
import type { Policy } from '../policy.ts';
import { isCautious, isResting } from './demotion-effort.ts';
import type { HotSpread } from './hot-share.ts';
import { ALL_FAST, EXCESS_TICKS, spreadHotMemory } from './hot-share.ts';
import type { NodeTuning } from './node-tuning.ts';
import { coldMemoryOf, demotionLimit, isTooYoungToBeIdle } from './node-tuning.ts';
import type { DemotionOrder, Order } from './order.ts';
import type { PingPongWatch } from './ping-pong.ts';
import { watchPingPong } from './ping-pong.ts';
import type { Reach } from './reach.ts';
import { bytesInReach, further, hotMemory, REACHES, reachBounds } from './reach.ts';

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
/** A reach whose candidates are less than this share of the demand is passed over. */
const WORTHWHILE_SHARE = 0.25;
/** The least efficiency to count on when an order is raised for what will fail. */
const MIN_EFFICIENCY = 0.5;
/** Over the target by less than this, hot memory stays: it would only be promoted again. */
const HOT_TOLERANCE_SHARE = 0.02;
/** Demands this small are met in one go. */
const SMALL_DEMAND_BYTES = 16 * MIB;
/** What does not move costs next to nothing, so a step may try so much more; not without bound, as it may yet move. */
const MIN_STEP_EFFICIENCY = 1 / 8;

/** Hot bytes that still wait on a node: those of its snapshot but for what has been promoted since. */
export function waitingOn(
  node: NodeObservation,
  tuning: NodeTuning,
  policy: Policy,
): Pick<Source, 'hot' | 'likelyHot'> {
  if (node.snapshot === undefined) return { hot: 0, likelyHot: 0 };
  const { bytes, likelyBytes } = hotMemory(node.snapshot, policy);
  const promoted = sum(tuning.unseenPromotions.map((promotion) => promotion.bytes));
  const hot = Math.max(0, bytes - promoted);
  return { hot, likelyHot: bytes === 0 ? 0 : (hot * likelyBytes) / bytes };
}

export interface Source {
  readonly node: NodeObservation;
  readonly tuning: NodeTuning;
  readonly hot: number;
  /** Of these, what is hot itself rather than mixed in; see HotMemory. */
  readonly likelyHot: number;
}

interface OrderContext {
  readonly nowMs: number;
  readonly node: NodeObservation;
  readonly tuning: NodeTuning;
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
  }));
  const room = node.freeBytes - keepFree;
  const waitingBytes = sum(sources.map((source) => source.hot));
  const pingPong = watchPingPong(tuning.pingPong, {
    nowMs,
    nodeTotalBytes: node.totalBytes,
    waitingBytes,
    promotedBytes: sum(sources.map((source) => source.node.promotedBytes)),
    demotedBytes: node.demotedBytes,
  });

  const cautious = isCautiousOn(node, tuning, context.policy);
  const usableRoom = usableOf(room, waitingBytes, cautious, node.totalBytes);
  const promotions = promotionsInto(sources, room, usableRoom, waitingBytes);
  const promotedNext = sum([...promotions.values()].map((order) => order.budgetBytes));

  const onHold = nowMs < pingPong.holdUntilMs;
  const wantsExchange = waitingBytes >= EXCHANGE_SHARE * node.totalBytes && !onHold;
  const nextPromotion = wantsExchange
    ? sum(
        sources
          .map((source) =>
            Math.min(
              source.likelyHot * source.tuning.promotionEfficiency -
                (promotions.get(source.node.nodeId)?.budgetBytes ?? 0),
              source.tuning.promotionPace.stepBytes,
            ),
          )
          .map((bytes) => Math.max(0, bytes)),
      )
    : 0;
  const overTarget = Math.max(0, -room);
  const slack = SLACK_SHARE * node.totalBytes;
  const wanted = nextPromotion + context.pushedDownBytes - (room - promotedNext);
  const demotion = demotionOut(context, {
    demandBytes: nextPromotion + context.pushedDownBytes > 0 || overTarget > slack ? Math.max(0, wanted) : 0,
    isOverTarget: overTarget > slack,
    overTarget,
    mayTakeHot: overTarget > HOT_TOLERANCE_SHARE * node.totalBytes || node.freeBytes < node.highWatermarkBytes,
    waitingBytes,
    onHold,
  });
  const hotExcessTicks = spread.demotableBytes === 0 ? 0 : tuning.hotExcessTicks + 1;
  const all = { promotions, pingPong, waitingBytes: sum(context.sources.map((source) => source.hot)) };
  if (demotion.demotion.budgetBytes > 0 || hotExcessTicks < EXCESS_TICKS)
    return { ...all, ...demotion, hotExcessTicks };
  const hot = hotDemotion(context, spread.demotableBytes);
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
function hotDemotion(context: OrderContext, demotableBytes: number): DemotionOrder {
  const { node, tuning, roomBelow, policy } = context;
  const limit = Math.min(demotionLimit(node, policy), tuning.demotionPace.stepBytes, roomBelow);
  const budgetBytes = Math.floor(Math.min(inTwo(demotableBytes), limit));
  return {
    budgetBytes: budgetBytes >= MIN_PROMOTION_BYTES ? budgetBytes : 0,
    reach: 'hot',
    furthest: 'warm',
    reason: `${mib(demotableBytes)} hot more than hotShare ${context.hotShare} keeps here`,
  };
}

/** Hot bytes go up as far as there is room, shared among the nodes they wait on. */
function promotionsInto(
  sources: readonly Source[],
  room: number,
  usableRoom: number,
  waitingBytes: number,
): Map<number, Order> {
  const promotions = new Map<number, Order>();
  for (const { node, tuning, hot } of sources) {
    const share = waitingBytes > 0 ? (usableRoom * hot) / waitingBytes : 0;
    const budget = Math.floor(Math.min(hot, share, tuning.promotionPace.stepBytes));
    const isUnderWay = (tuning.lastOrders.promotion?.budgetBytes ?? 0) > 0;
    const isSure = hot >= SURE_PROMOTION_BYTES || tuning.lastHotBytes >= MIN_FIRST_PROMOTION_BYTES;
    const least = isUnderWay ? MIN_PROMOTION_BYTES : isSure ? MIN_FIRST_PROMOTION_BYTES : SURE_PROMOTION_BYTES;
    const budgetBytes = budget >= least ? budget : 0;
    promotions.set(node.nodeId, { budgetBytes, reason: promotionReason(hot, room) });
  }
  return promotions;
}

/**
 * How much of the room to fill now. A few MiB come and go with every allocation: to fill them would be to demote again soon, all the more when exchanges
 * were in vain, as all room is then what programs have freed and will want again.
 */
function usableOf(room: number, waitingBytes: number, isCautious: boolean, nodeTotalBytes: number): number {
  if (waitingBytes <= room) return room;
  if (room < (isCautious ? SLACK_SHARE : EXCHANGE_SHARE) * nodeTotalBytes) return 0;
  return isCautious ? room / 2 : inTwo(room);
}

function isCautiousOn(node: NodeObservation, tuning: NodeTuning, policy: Policy): boolean {
  return isCautious(tuning.effort, coldMemoryOf(node, policy).belowHotBytes, node.totalBytes);
}

/** Half of a limit that must not be passed: an order stands until the next one and may serve two passes. */
function inTwo(bytes: number): number {
  return Math.max(bytes / 2, Math.min(bytes, SMALL_DEMAND_BYTES));
}

function promotionReason(hot: number, room: number): string {
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
}

/** Coldest first, as far as the node below has room, and only as far up the scale as the demand allows. */
function demotionOut(context: OrderContext, demand: DemotionDemand): { demotion: DemotionOrder; blockedBytes: number } {
  const { node, tuning, below, roomBelow, policy, nowMs } = context;
  const off = (reason: string, blockedBytes = 0) => ({
    demotion: { budgetBytes: 0, reach: 'idle' as const, furthest: 'warm' as const, reason },
    blockedBytes,
  });
  if (below === undefined || node.snapshot === undefined) return off('no snapshot yet');
  if (demand.demandBytes === 0)
    return off(demand.onHold ? 'on hold: what was demoted came straight back' : 'enough room');
  const idleBytes = bytesInReach(node.snapshot, reachBounds('idle', policy, node.snapshot));
  if (isResting(tuning.effort, nowMs, idleBytes, node.totalBytes))
    return off('resting: nothing that may move would move');

  const demandBytes = Math.min(demand.demandBytes, roomBelow);
  const blockedBytes = demand.demandBytes - demandBytes;
  if (demandBytes < MIN_PROMOTION_BYTES) return off(`node ${below.nodeId} below has no room`, blockedBytes);

  const forExchange = isCautiousOn(node, tuning, policy) ? 'idle' : 'warm';
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
    demotion: { budgetBytes, reach, furthest, reason: `${mib(demandBytes)} ${reach} wanted: ${why}` },
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
  while (
    reach !== furthest &&
    bytesInReach(snapshot, reachBounds(reach, policy, snapshot)) < WORTHWHILE_SHARE * demandBytes
  ) {
    reach = further(reach, furthest);
  }
  return reach;
}

function sum(values: readonly number[]): number {
  return values.reduce((total, value) => total + value, 0);
}

function mib(bytes: number): string {
  return `${Math.round(bytes / MIB)} MiB`;
}
