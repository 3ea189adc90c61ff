import type { MigrationPath, Topology } from '../../numa/topology.ts';
import type { NodeObservation, Observation } from '../observation.ts';
import type { Policy } from '../policy.ts';
import type { DemotionEffort } from './demotion-effort.ts';
import { FRESH_EFFORT, nextEffort } from './demotion-effort.ts';
import { keepFreeBytes } from './headroom.ts';
import type { Pace } from './pace.ts';
import { firstPace, nextPace } from './pace.ts';
import type { PingPongWatch } from './ping-pong.ts';
import { NO_PING_PONG, watchPingPong } from './ping-pong.ts';
import type { Reach } from './reach.ts';
import { bytesInReach, further, hotMemory, REACHES, reachBounds } from './reach.ts';

const MIB = 1024 * 1024;

/** Promotions smaller than this are not worth a commit, and fewer hot bytes not worth beginning with. */
const MIN_PROMOTION_BYTES = MIB / 2;
const MIN_FIRST_PROMOTION_BYTES = 2 * MIB;
/** From here on a promotion begins at once; less must have been seen twice, as a few MiB flicker. */
const SURE_PROMOTION_BYTES = 16 * MIB;
/** Over the target by less than this is not worth moving: applications allocate and free all the time. */
const SLACK_SHARE = 0.003;
/** Fewer hot bytes waiting than this do not push others out; they wait for room. */
const EXCHANGE_SHARE = 0.005;
/** No longer than this are demotions kept to idle memory because nothing has been watched long enough to be idle. */
const MAX_PATIENCE_MS = 5_000;
/** A reach whose candidates are less than this share of the demand is passed over. */
const WORTHWHILE_SHARE = 0.25;
/** The least efficiency to count on when an order is raised for what will fail. */
const MIN_EFFICIENCY = 0.5;
/** What does not move costs next to nothing, so a step may try so much more; not without bound, as it may yet move. */
const MIN_STEP_EFFICIENCY = 1 / 8;

/** Budget of one node's promotion or demotion scheme for the next pass. 0 means off. */
export interface Order {
  readonly budgetBytes: number;
  /** For a person: why. */
  readonly reason: string;
}

export interface DemotionOrder extends Order {
  readonly reach: Reach;
  /** How far this demand could have reached. */
  readonly furthest: Reach;
}

/** What a node's schemes shall do until the next tick. */
export interface NodeOrders {
  readonly nodeId: number;
  readonly promotion?: Order;
  readonly demotion?: DemotionOrder;
}

export interface NodeTuning {
  readonly promotionPace: Pace;
  readonly demotionPace: Pace;
  readonly effort: DemotionEffort;
  readonly pingPong: PingPongWatch;
  readonly promotionEfficiency: number;
  readonly lastOrders: NodeOrders;
  readonly lastSnapshotAtMs: number | undefined;
  /** Hot bytes of the snapshot that the last tick saw. */
  readonly lastHotBytes: number;
  /** Promotions that the newest snapshot may not show yet, with the tick that noticed them. */
  readonly unseenPromotions: readonly { readonly atMs: number; readonly bytes: number }[];
  /** When the first snapshot was taken: ages count from there. */
  readonly firstSnapshotAtMs: number | undefined;
}

/** All that the tuner remembers; a plain value, so that a tick is a pure function. */
export interface TunerState {
  readonly nodes: ReadonlyMap<number, NodeTuning>;
}

export const FRESH_TUNER: TunerState = { nodes: new Map() };

export interface Tuning {
  readonly state: TunerState;
  readonly orders: readonly NodeOrders[];
  /** Hot bytes on nodes that have a faster one above them. */
  readonly hotBytesWaiting: number;
  readonly pingPongBytes: number;
}

/**
 * One tick of the tuner: from what was observed to what each node's schemes may move in their next pass.
 *
 * By need, not by rate: hot bytes that wait on slow nodes are promoted as far as the fast node has room above what it must keep free; if it has
 * not, as much as the next promotion wants is demoted, coldest first and no more; and a node over its target demotes down to it.
 * It serves every kernel and engine because it only says how many bytes, and how cold they must be.
 */
export function tune(state: TunerState, observation: Observation, topology: Topology, policy: Policy): Tuning {
  const observed = new Map(observation.nodes.map((node) => [node.nodeId, node]));
  const fastest = new Set(topology.tiers[0]?.nodeIds ?? []);
  const learned = new Map<number, NodeTuning>();
  for (const path of topology.paths) {
    const node = observed.get(path.nodeId);
    if (node !== undefined)
      learned.set(path.nodeId, learn(state.nodes.get(path.nodeId), node, policy, observation.nowMs));
  }

  const orders = new Map<number, NodeOrders>();
  /** Demotions from above that found their target without room. */
  const pushedDown = new Map<number, number>();
  let hotBytesWaiting = 0;
  for (const tier of topology.tiers) {
    for (const nodeId of tier.nodeIds) {
      const node = observed.get(nodeId);
      const tuning = learned.get(nodeId);
      const path = topology.paths.find((candidate) => candidate.nodeId === nodeId);
      if (node === undefined || tuning === undefined || path === undefined) continue;
      const sources = topology.paths.flatMap((source) => {
        const sourceNode = source.promotionTarget === nodeId ? observed.get(source.nodeId) : undefined;
        const sourceTuning = learned.get(source.nodeId);
        if (sourceNode === undefined || sourceTuning === undefined) return [];
        return [{ node: sourceNode, tuning: sourceTuning, ...waitingOn(sourceNode, sourceTuning, policy) }];
      });
      const plan = orderFor({
        nowMs: observation.nowMs,
        node,
        tuning,
        path,
        sources,
        keepFree: keepFreeBytes(node, fastest.has(nodeId), policy),
        below: path.demotionTarget === undefined ? undefined : observed.get(path.demotionTarget),
        keepFreeBelow: (below) => keepFreeBytes(below, false, policy),
        pushedDownBytes: pushedDown.get(nodeId) ?? 0,
        policy,
      });
      hotBytesWaiting += plan.waitingBytes;
      learned.set(nodeId, { ...tuning, pingPong: plan.pingPong });
      if (path.demotionTarget !== undefined) {
        merge(orders, { nodeId, demotion: plan.demotion });
        pushedDown.set(path.demotionTarget, (pushedDown.get(path.demotionTarget) ?? 0) + plan.blockedBytes);
      }
      for (const [sourceId, promotion] of plan.promotions) merge(orders, { nodeId: sourceId, promotion });
    }
  }

  const nodes = new Map<number, NodeTuning>();
  let pingPongBytes = 0;
  for (const [nodeId, tuning] of learned) {
    const snapshot = observed.get(nodeId)?.snapshot;
    nodes.set(nodeId, {
      ...tuning,
      lastOrders: orders.get(nodeId) ?? { nodeId },
      lastSnapshotAtMs: snapshot?.takenAtMs,
      lastHotBytes: snapshot === undefined ? 0 : hotMemory(snapshot, policy).bytes,
    });
    pingPongBytes += tuning.pingPong.totalBytes;
  }
  return { state: { nodes }, orders: [...orders.values()], hotBytesWaiting, pingPongBytes };
}

/** The bandwidth limit of demotions, as bytes of one pass. */
function demotionLimit(node: NodeObservation, policy: Policy): number {
  const intervalMs = node.snapshot?.aggregationIntervalMs ?? policy.monitoring.aggregationIntervalMs;
  return (policy.demotion.maxMiBPerSecond * MIB * intervalMs) / 1000;
}

/** What the last orders taught: paces, efficiency, how far demotion must reach. A dry run moves nothing and so teaches nothing of failure. */
function learn(before: NodeTuning | undefined, node: NodeObservation, policy: Policy, nowMs: number): NodeTuning {
  const intervalMs = node.snapshot?.aggregationIntervalMs ?? policy.monitoring.aggregationIntervalMs;
  const promotionCap = (policy.promotion.maxMiBPerSecond * MIB * intervalMs) / 1000;
  const demotionCap = demotionLimit(node, policy);
  if (before === undefined) {
    return {
      promotionPace: firstPace(node.totalBytes, promotionCap),
      demotionPace: firstPace(node.totalBytes, demotionCap),
      effort: FRESH_EFFORT,
      pingPong: NO_PING_PONG,
      promotionEfficiency: 1,
      lastOrders: { nodeId: node.nodeId },
      lastSnapshotAtMs: undefined,
      lastHotBytes: 0,
      unseenPromotions: [],
      firstSnapshotAtMs: node.snapshot?.takenAtMs,
    };
  }
  const pass = {
    snapshotAtMs: node.snapshot?.takenAtMs,
    previousSnapshotAtMs: node.snapshot?.previousAtMs,
    aggregationIntervalMs: intervalMs,
  };
  const demotion = before.lastOrders.demotion;
  const firstSnapshotAtMs = before.firstSnapshotAtMs ?? node.snapshot?.takenAtMs;
  return {
    ...before,
    firstSnapshotAtMs,
    unseenPromotions: [...before.unseenPromotions, { atMs: nowMs, bytes: node.promotedBytes }].filter(
      ({ atMs, bytes }) => bytes > 0 && atMs > watchedUntilMs(before, node),
    ),
    promotionPace: nextPace(before.promotionPace, {
      ...pass,
      movedBytes: node.promotedBytes,
      maxBytesPerPass: promotionCap,
    }),
    demotionPace: nextPace(before.demotionPace, {
      ...pass,
      movedBytes: node.demotedBytes,
      maxBytesPerPass: demotionCap,
    }),
    effort: nextEffort(before.effort, {
      nowMs,
      orderedBytes: demotion?.budgetBytes ?? 0,
      triedBytes: node.demotionTriedBytes,
      movedBytes: policy.dryRun ? node.demotionTriedBytes : node.demotedBytes,
      hadPass:
        node.snapshot !== undefined &&
        node.snapshot.takenAtMs !== before.lastSnapshotAtMs &&
        !isTooYoungToBeIdle(firstSnapshotAtMs, policy, nowMs),
      furthest: demotion?.furthest ?? 'warm',
      candidateBytes: candidatesOf(node, before.effort.reach, policy),
      isColdIdle: node.snapshot !== undefined && reachBounds('cold', policy, node.snapshot).maxNrAccesses === 0,
    }),
    promotionEfficiency: smoothEfficiency(
      before.promotionEfficiency,
      node.promotionTriedBytes,
      policy.dryRun ? node.promotionTriedBytes : node.promotedBytes,
    ),
  };
}

/** All that a reach would take once it is old enough. */
function candidatesOf({ snapshot }: NodeObservation, reach: Reach, policy: Policy): number {
  return snapshot === undefined ? 0 : bytesInReach(snapshot, { ...reachBounds(reach, policy, snapshot), minAge: 0 });
}

/** Until when the newest snapshot looked at memory; a pass follows the look, so the snapshot shows what that pass has moved since. */
function watchedUntilMs({ lastSnapshotAtMs }: NodeTuning, { snapshot }: NodeObservation): number {
  if (snapshot === undefined) return Number.NEGATIVE_INFINITY;
  const { takenAtMs, aggregationIntervalMs } = snapshot;
  const soonest = takenAtMs - aggregationIntervalMs;
  if (lastSnapshotAtMs === undefined || lastSnapshotAtMs === takenAtMs) return soonest;
  return Math.max(soonest, Math.min(takenAtMs, lastSnapshotAtMs + aggregationIntervalMs));
}

/** Hot bytes that still wait on a node: those of its snapshot but for what has been promoted since. */
function waitingOn(node: NodeObservation, tuning: NodeTuning, policy: Policy): Pick<Source, 'hot' | 'likelyHot'> {
  if (node.snapshot === undefined) return { hot: 0, likelyHot: 0 };
  const { bytes, likelyBytes } = hotMemory(node.snapshot, policy);
  const promoted = sum(tuning.unseenPromotions.map((promotion) => promotion.bytes));
  const hot = Math.max(0, bytes - promoted);
  return { hot, likelyHot: bytes === 0 ? 0 : (hot * likelyBytes) / bytes };
}

/** Share of tried bytes that were promoted; drifts back to 1 while nothing is tried, so that a bad spell is forgotten. */
function smoothEfficiency(before: number, triedBytes: number, movedBytes: number): number {
  if (triedBytes < MIB) return Math.min(1, before + 0.02);
  return 0.6 * before + 0.4 * Math.min(1, movedBytes / triedBytes);
}

interface Source {
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
  readonly below: NodeObservation | undefined;
  keepFreeBelow(below: NodeObservation): number;
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
}

/** Orders around one node: promotions into it and the demotion out of it, which share its room. */
function orderFor(context: OrderContext): OrderPlan {
  const { node, tuning, sources, keepFree, nowMs } = context;
  const room = node.freeBytes - keepFree;
  const waitingBytes = sum(sources.map((source) => source.hot));
  const pingPong = watchPingPong(tuning.pingPong, {
    nowMs,
    nodeTotalBytes: node.totalBytes,
    waitingBytes,
    promotedBytes: sum(sources.map((source) => source.node.promotedBytes)),
    demotedBytes: node.demotedBytes,
  });

  const promotions = promotionsInto(sources, room, waitingBytes);
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
    waitingBytes,
    onHold,
  });
  return { promotions, waitingBytes, pingPong, ...demotion };
}

/** Hot bytes go up as far as there is room, shared among the nodes they wait on. */
function promotionsInto(sources: readonly Source[], room: number, waitingBytes: number): Map<number, Order> {
  const promotions = new Map<number, Order>();
  for (const { node, tuning, hot } of sources) {
    const share = waitingBytes > 0 ? (Math.max(0, room) * hot) / waitingBytes : 0;
    const budget = Math.floor(Math.min(hot, share, tuning.promotionPace.stepBytes));
    const isUnderWay = (tuning.lastOrders.promotion?.budgetBytes ?? 0) > 0;
    const isSure = hot >= SURE_PROMOTION_BYTES || tuning.lastHotBytes >= MIN_FIRST_PROMOTION_BYTES;
    const least = isUnderWay ? MIN_PROMOTION_BYTES : isSure ? MIN_FIRST_PROMOTION_BYTES : SURE_PROMOTION_BYTES;
    const budgetBytes = budget >= least ? budget : 0;
    promotions.set(node.nodeId, { budgetBytes, reason: promotionReason(hot, room) });
  }
  return promotions;
}

function promotionReason(hot: number, room: number): string {
  if (hot === 0) return 'nothing hot waits';
  return `${mib(hot)} hot wait, room for ${mib(Math.max(0, room))}`;
}

interface DemotionDemand {
  readonly demandBytes: number;
  readonly isOverTarget: boolean;
  readonly overTarget: number;
  readonly waitingBytes: number;
  readonly onHold: boolean;
}

/** Coldest first, as far as the node below has room, and only as far up the scale as the demand allows. */
function demotionOut(context: OrderContext, demand: DemotionDemand): { demotion: DemotionOrder; blockedBytes: number } {
  const { node, tuning, below, policy, nowMs } = context;
  const off = (reason: string, blockedBytes = 0) => ({
    demotion: { budgetBytes: 0, reach: 'idle' as const, furthest: 'warm' as const, reason },
    blockedBytes,
  });
  if (below === undefined || node.snapshot === undefined) return off('no snapshot yet');
  if (demand.demandBytes === 0)
    return off(demand.onHold ? 'on hold: what was demoted came straight back' : 'enough room');
  if (nowMs < tuning.effort.restUntilMs) return off('resting: nothing that may move would move');

  const roomBelow = Math.max(0, below.freeBytes - context.keepFreeBelow(below));
  const demandBytes = Math.min(demand.demandBytes, roomBelow);
  const blockedBytes = demand.demandBytes - demandBytes;
  if (demandBytes < MIN_PROMOTION_BYTES) return off(`node ${below.nodeId} below has no room`, blockedBytes);

  const furthest = demand.isOverTarget ? 'any' : 'warm';
  const reach = isTooYoungToBeIdle(tuning.firstSnapshotAtMs, policy, nowMs)
    ? 'idle'
    : reachFor(node, tuning.effort.reach, demandBytes, furthest, policy);
  const efficiency = Math.max(MIN_EFFICIENCY, tuning.effort.efficiency);
  // Not for exchanges: each try sets ages back, and what is about to be idle would have to wait again.
  const triesPerMove = demand.isOverTarget ? 1 / Math.max(MIN_STEP_EFFICIENCY, tuning.effort.efficiency) : 1;
  const stepBytes = Math.min(demotionLimit(node, policy), tuning.demotionPace.stepBytes * triesPerMove);
  const budgetBytes = Math.floor(Math.min(demandBytes / efficiency, stepBytes));
  const why = demand.isOverTarget
    ? `${mib(demand.overTarget)} over its target`
    : `room for ${mib(demand.waitingBytes)} hot that wait below`;
  return {
    demotion: { budgetBytes, reach, furthest, reason: `${mib(demandBytes)} ${reach} wanted: ${why}` },
    blockedBytes,
  };
}

/**
 * Whether nothing can be idle yet because monitoring has just begun. What is cold will soon be seen to be: to reach further now would take the young
 * filter to pages that nobody has looked at, which rejects them all and sets back the ages that are about to qualify.
 */
function isTooYoungToBeIdle(firstSnapshotAtMs: number | undefined, policy: Policy, nowMs: number): boolean {
  const patienceMs = Math.min(MAX_PATIENCE_MS, policy.demotion.minAgeSeconds * 1000);
  return firstSnapshotAtMs === undefined || nowMs - firstSnapshotAtMs < patienceMs;
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

function merge(orders: Map<number, NodeOrders>, orders1: NodeOrders): void {
  orders.set(orders1.nodeId, { ...orders.get(orders1.nodeId), ...orders1 });
}

function sum(values: readonly number[]): number {
  return values.reduce((total, value) => total + value, 0);
}

function mib(bytes: number): string {
  return `${Math.round(bytes / MIB)} MiB`;
}
