import type { Topology } from '../../numa/topology.ts';
import type { HeatHistogram } from '../heat/heat-histogram.ts';
import { bytesFrom, heatClass } from '../heat/heat-histogram.ts';
import type { NodeObservation, Observation } from '../observation.ts';
import type { Policy } from '../policy.ts';
import { withLevels } from '../snapshot.ts';
import { keepFreeBytes } from './headroom.ts';
import type { HeatAround, IntervalTuning } from './intervals.ts';
import { FIRST_SAMPLING_MS, heatOf, tuneIntervals } from './intervals.ts';
import type { HeatLevels } from './levels.ts';
import { LEAST_EXCHANGE_SHARE } from './levels.ts';
import { levelsAround } from './levels-around.ts';
import type { NodeTuning } from './node-tuning.ts';
import { demotionLimit, learn, promotionLimit } from './node-tuning.ts';
import type { Directed, NodeOrders, Order } from './order.ts';
import { orderFor, waitingOn } from './ordering.ts';
import { withPageOrders } from './page-orders.ts';
import type { PageSight } from './page-rounds.ts';
import { isUnderWay, pageRounds } from './page-rounds.ts';
import { hotMemory } from './reach.ts';
import type { Target } from './targets.ts';
import { chooseTargets, SharedRoom } from './targets.ts';

/** All that the tuner remembers; a plain value, so that a tick is a pure function. */
export interface TunerState {
  readonly nodes: ReadonlyMap<number, NodeTuning>;
  /** Undefined until something has been observed. */
  readonly intervals?: IntervalTuning;
}

export const FRESH_TUNER: TunerState = { nodes: new Map() };

export interface Tuning {
  readonly state: TunerState;
  readonly orders: readonly NodeOrders[];
  /** Hot bytes on nodes that have a faster one above them. */
  readonly hotBytesWaiting: number;
  readonly pingPongBytes: number;
  /** What counts as hot and cold, by node: around itself where others promote into it, else around the node it promotes to. */
  readonly levels: ReadonlyMap<number, HeatLevels>;
}

/**
 * One tick of the tuner: from what was observed to what each node's schemes may move in their next pass.
 *
 * By need, not by rate: hot bytes that wait on slow nodes are promoted as far as the fast node has room above what it must keep free; if it has
 * not, as much as the next promotion wants is demoted, coldest first and no more; and a node over its target demotes down to it.
 * It serves every kernel and engine because it only says how many bytes, and how cold they must be.
 */
export function tune(
  state: TunerState,
  observation: Observation,
  topology: Topology,
  policy: Policy,
  sight: PageSight = 'none',
): Tuning {
  const observed = new Map(observation.nodes.map((node) => [node.nodeId, node]));
  const fastest = new Set(topology.tiers[0]?.nodeIds ?? []);
  // Where a node's memory was to go last: levels come before the choice, which goes by what is hot.
  const targetOf = (nodeId: number) => {
    const promotionTargets = topology.paths.find((path) => path.nodeId === nodeId)?.promotionTargets ?? [];
    const last = state.nodes.get(nodeId)?.lastOrders.promotion?.targetNodeId;
    return last !== undefined && promotionTargets.includes(last) ? last : promotionTargets[0];
  };
  const levels = levelsAround(observed, topology, (nodeId, target) => targetOf(nodeId) === target, policy);
  const pathsTo = (nodeId: number, target: number) =>
    topology.paths.some((path) => path.nodeId === nodeId && path.promotionTargets.includes(target));
  const possibleLevels = levelsAround(observed, topology, pathsTo, policy);
  const as = (node: NodeObservation, around: number | undefined): NodeObservation =>
    seenWith(node, levels.get(around ?? -1));
  const learned = new Map<number, NodeTuning>();
  for (const path of topology.paths) {
    const found = observed.get(path.nodeId);
    const node = found && as(found, path.nodeId);
    if (node !== undefined)
      learned.set(path.nodeId, learn(state.nodes.get(path.nodeId), node, policy, observation.nowMs));
  }

  const keepFree = (node: NodeObservation) => keepFreeBytes(node, fastest.has(node.nodeId), policy);
  const hotBytes = new Map(
    observation.nodes.map((node) => {
      const { nodeId, snapshot } = as(node, targetOf(node.nodeId));
      return [nodeId, snapshot === undefined ? 0 : hotMemory(snapshot, policy).bytes];
    }),
  );
  const around = {
    nowMs: observation.nowMs,
    paths: topology.paths,
    observed,
    learned,
    hotBytes,
    levels: possibleLevels,
    keepFreeBytes: keepFree,
    keepsPairs: policy.hotShare < 1,
  };
  const targets = chooseTargets(around);
  const roomBelow = new SharedRoom(around, targets);

  const orders = new Map<number, NodeOrders>();
  /** Demotions from above that found their target without room. */
  const pushedDown = new Map<number, number>();
  let hotBytesWaiting = 0;
  for (const tier of topology.tiers) {
    for (const nodeId of tier.nodeIds) {
      const found = observed.get(nodeId);
      const node = found && as(found, nodeId);
      const tuning = learned.get(nodeId);
      const path = topology.paths.find((candidate) => candidate.nodeId === nodeId);
      if (node === undefined || tuning === undefined || path === undefined) continue;
      const sources = topology.paths.flatMap((source) => {
        const isSource = targets.get(source.nodeId)?.promotion?.nodeId === nodeId;
        const below = isSource ? observed.get(source.nodeId) : undefined;
        const sourceNode = below && as(below, nodeId);
        const sourceTuning = learned.get(source.nodeId);
        if (sourceNode === undefined || sourceTuning === undefined) return [];
        return [{ node: sourceNode, tuning: sourceTuning, ...waitingOn(sourceNode, sourceTuning, policy) }];
      });
      const demotionTarget = targets.get(nodeId)?.demotion;
      const pushedDownBytes = pushedDown.get(nodeId) ?? 0;
      const room = roomBelow.shareOf(nodeId, pushedDownBytes);
      const byRegion = orderFor({
        nowMs: observation.nowMs,
        node,
        tuning,
        levels: levels.get(nodeId),
        path,
        sources,
        keepFree: keepFree(node),
        hotShare: fastest.has(nodeId) ? policy.hotShare : 1,
        below: demotionTarget === undefined ? undefined : observed.get(demotionTarget.nodeId),
        roomBelow: room,
        pushedDownBytes,
        policy,
      });
      const { fastShare } = byRegion.exchangeGain;
      const [rounds, wanted] = pageRounds(tuning.pageRounds, {
        nowMs: observation.nowMs,
        sight,
        fast: node,
        slow: sources.map((source) => source.node),
        roomBytes: node.freeBytes - keepFree(node),
        roomBelowBytes: room,
        slowShare: fastShare === undefined ? undefined : 1 - fastShare,
        ...lukewarm(sources.flatMap(({ node: { heat } }) => heat ?? [])),
        limitBytes: Math.min(demotionLimit(node, policy), promotionLimit(node, policy)),
        policy,
      });
      const plan = wanted === undefined ? byRegion : withPageOrders(byRegion, wanted, node);
      for (const [lookedAtId, lookBytes] of wanted?.looks ?? []) merge(orders, { nodeId: lookedAtId, lookBytes });
      hotBytesWaiting += plan.waitingBytes;
      learned.set(nodeId, {
        ...tuning,
        pageRounds: rounds,
        pingPong: plan.pingPong,
        exchangeGain: plan.exchangeGain,
        hotExcessTicks: plan.hotExcessTicks,
      });
      if (demotionTarget !== undefined) {
        merge(orders, { nodeId, demotion: toward(demotionTarget, plan.demotion) });
        roomBelow.ordered(demotionTarget.nodeId, plan.demotion.budgetBytes);
        pushedDown.set(demotionTarget.nodeId, (pushedDown.get(demotionTarget.nodeId) ?? 0) + plan.blockedBytes);
      }
      for (const [sourceId, promotion] of plan.promotions) {
        merge(orders, {
          nodeId: sourceId,
          promotion: toward(targets.get(sourceId)?.promotion ?? { nodeId }, promotion),
        });
      }
    }
  }

  const nodes = new Map<number, NodeTuning>();
  let pingPongBytes = 0;
  const told = new Map<number, HeatLevels>();
  for (const [nodeId, tuning] of learned) {
    const target = targetOf(nodeId);
    const found = observed.get(nodeId);
    const snapshot = found && as(found, target).snapshot;
    const around = levels.get(nodeId) ?? levels.get(target ?? -1);
    if (around !== undefined) told.set(nodeId, around);
    nodes.set(nodeId, {
      ...tuning,
      lastOrders: orders.get(nodeId) ?? { nodeId },
      lastSnapshotAtMs: snapshot?.takenAtMs,
      lastHotBytes: hotBytes.get(nodeId) ?? 0,
    });
    pingPongBytes += tuning.pingPong.totalBytes;
  }
  const heatAround = [...levels].flatMap(([nodeId, around]) => {
    const below = topology.paths.flatMap((path) =>
      targetOf(path.nodeId) === nodeId ? (observed.get(path.nodeId) ?? []) : [],
    );
    const node = observed.get(nodeId);
    return node === undefined ? [] : heatAroundNode(node, around, below);
  });
  const looksAtPages = [...nodes.values()].some((node) => isUnderWay(node.pageRounds));
  return {
    state: { nodes, intervals: tuneIntervals(state.intervals, policy, heatAround, observation.nowMs, looksAtPages) },
    orders: [...orders.values()],
    hotBytesWaiting,
    pingPongBytes,
    levels: told,
  };
}

function seenWith(node: NodeObservation, levels: HeatLevels | undefined): NodeObservation {
  return node.snapshot === undefined ? node : { ...node, snapshot: withLevels(node.snapshot, levels) };
}

function toward<SomeOrder extends Order>({ nodeId, why }: Target, order: SomeOrder): SomeOrder & Directed {
  return { ...order, targetNodeId: nodeId, reason: why === undefined ? order.reason : `${order.reason}, ${why}` };
}

function merge(orders: Map<number, NodeOrders>, orders1: NodeOrders): void {
  orders.set(orders1.nodeId, { ...orders.get(orders1.nodeId), ...orders1 });
}

/** What was touched, and the share of the accesses to it that went to what is not plainly hot. */
function lukewarm(heats: readonly HeatHistogram[]): { touchedBytes: number; lukewarmShare: number } {
  let [touchedBytes, heatBytes, hotHeatBytes] = [0, 0, 0];
  for (const heat of heats) {
    const hotClass = heatClass(1 - (1 - LEAST_EXCHANGE_SHARE) ** (heat.samplingIntervalMs / FIRST_SAMPLING_MS));
    touchedBytes += bytesFrom(heat.likely, 1);
    heatBytes += heatOf(heat);
    hotHeatBytes += heatOf(heat, hotClass);
  }
  return { touchedBytes, lukewarmShare: heatBytes === 0 ? 0 : 1 - hotHeatBytes / heatBytes };
}

/** For the choice of intervals; nothing while a heat is unknown. */
function heatAroundNode(
  node: NodeObservation,
  levels: HeatLevels,
  below: readonly NodeObservation[],
): readonly HeatAround[] {
  if (node.heat === undefined) return [];
  return [{ levels, fast: node.heat, slow: below.flatMap(({ heat }) => heat ?? []) }];
}
