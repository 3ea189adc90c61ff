import type { NodeObservation } from '../observation.ts';
import type { Policy } from '../policy.ts';
import type { ColdMemory, DemotionEffort } from './demotion-effort.ts';
import { FRESH_EFFORT, nextEffort } from './demotion-effort.ts';
import type { ExchangeGain } from './exchange-gain.ts';
import { NO_EXCHANGE_GAIN } from './exchange-gain.ts';
import { firstIntervals } from './intervals.ts';
import type { NodeOrders } from './order.ts';
import type { Pace } from './pace.ts';
import { firstPace, nextPace } from './pace.ts';
import type { PageRounds } from './page-rounds.ts';
import { NO_PAGE_ROUNDS } from './page-rounds.ts';
import type { PingPongWatch } from './ping-pong.ts';
import { NO_PING_PONG } from './ping-pong.ts';
import type { Reach } from './reach.ts';
import { bytesInReach, hotThresholdNrAccesses, reachBounds } from './reach.ts';

const MIB = 1024 * 1024;

/** No longer than this are demotions kept to idle memory because nothing has been watched long enough to be idle. */
const MAX_PATIENCE_MS = 5_000;

/** What the tuner has learned about one node. */
export interface NodeTuning {
  readonly promotionPace: Pace;
  readonly demotionPace: Pace;
  readonly effort: DemotionEffort;
  readonly pingPong: PingPongWatch;
  readonly exchangeGain: ExchangeGain;
  readonly pageRounds: PageRounds;
  readonly promotionEfficiency: number;
  readonly lastOrders: NodeOrders;
  readonly lastSnapshotAtMs: number | undefined;
  /** Hot bytes of the snapshot that the last tick saw. */
  readonly lastHotBytes: number;
  /** Promotions that the newest snapshot may not show yet, with the tick that noticed them. */
  readonly unseenPromotions: readonly { readonly atMs: number; readonly bytes: number }[];
  /** Ticks in a row in which more hot memory was here than hotShare keeps. */
  readonly hotExcessTicks: number;
  /** When the first snapshot was taken: ages count from there. */
  readonly firstSnapshotAtMs: number | undefined;
}

/** What the last orders taught: paces, efficiency, how far demotion must reach. A dry run moves nothing and so teaches nothing of failure. */
export function learn(
  before: NodeTuning | undefined,
  node: NodeObservation,
  policy: Policy,
  nowMs: number,
): NodeTuning {
  const intervalMs = node.snapshot?.aggregationIntervalMs ?? firstIntervals(policy).aggregationIntervalMs;
  const promotionCap = promotionLimit(node, policy);
  const demotionCap = demotionLimit(node, policy);
  if (before === undefined) {
    return {
      promotionPace: firstPace(node.totalBytes, promotionCap),
      demotionPace: firstPace(node.totalBytes, demotionCap),
      effort: FRESH_EFFORT,
      pingPong: NO_PING_PONG,
      exchangeGain: NO_EXCHANGE_GAIN,
      pageRounds: NO_PAGE_ROUNDS,
      promotionEfficiency: 1,
      lastOrders: { nodeId: node.nodeId },
      lastSnapshotAtMs: undefined,
      lastHotBytes: 0,
      unseenPromotions: [],
      hotExcessTicks: 0,
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
      busyMs: node.promotionMs,
      orderedBytes: before.lastOrders.promotion?.budgetBytes ?? 0,
      maxBytesPerPass: promotionCap,
    }),
    demotionPace: nextPace(before.demotionPace, {
      ...pass,
      movedBytes: node.demotedBytes,
      busyMs: node.demotionMs,
      orderedBytes: before.lastOrders.demotion?.budgetBytes ?? 0,
      maxBytesPerPass: demotionCap,
    }),
    effort: nextEffort(before.effort, {
      nowMs,
      // What hot memory or single pages do says nothing of how far demotion must reach for cold memory.
      orderedBytes:
        demotion === undefined || demotion.reach === 'hot' || demotion.reach === 'pages' ? 0 : demotion.budgetBytes,
      triedBytes: node.demotionTriedBytes,
      movedBytes: policy.dryRun ? node.demotionTriedBytes : node.demotedBytes,
      hadPass:
        node.snapshot !== undefined &&
        node.snapshot.takenAtMs !== before.lastSnapshotAtMs &&
        !isTooYoungToBeIdle(firstSnapshotAtMs, policy, nowMs),
      furthest: demotion?.furthest ?? 'warm',
      candidateBytes: candidatesOf(node, before.effort.reach, policy),
      coldMemory: coldMemoryOf(node, policy),
      nodeTotalBytes: node.totalBytes,
      isCrowded: node.snapshot?.levels?.isCrowded === true,
      isColdIdle: node.snapshot !== undefined && reachBounds('cold', policy, node.snapshot).maxNrAccesses === 0,
    }),
    promotionEfficiency:
      before.lastOrders.promotion?.isSweep === true
        ? before.promotionEfficiency
        : smoothEfficiency(
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

/** What is colder than hot now. */
export function coldMemoryOf({ snapshot }: NodeObservation, policy: Policy): ColdMemory {
  if (snapshot === undefined) return { idleBytes: 0, belowHotBytes: 0 };
  const below = {
    minNrAccesses: 0,
    minAge: 0,
    maxNrAccesses: hotThresholdNrAccesses(policy, snapshot) - 1,
  };
  return {
    idleBytes: bytesInReach(snapshot, { ...below, maxNrAccesses: 0 }),
    belowHotBytes: bytesInReach(snapshot, below),
  };
}

/** Until when the newest snapshot looked at memory; a pass follows the look, so the snapshot shows what that pass has moved since. */
function watchedUntilMs({ lastSnapshotAtMs }: NodeTuning, { snapshot }: NodeObservation): number {
  if (snapshot === undefined) return Number.NEGATIVE_INFINITY;
  const { takenAtMs, aggregationIntervalMs } = snapshot;
  const soonest = takenAtMs - aggregationIntervalMs;
  if (lastSnapshotAtMs === undefined || lastSnapshotAtMs === takenAtMs) return soonest;
  return Math.max(soonest, Math.min(takenAtMs, lastSnapshotAtMs + aggregationIntervalMs));
}

/** Share of tried bytes that were promoted; drifts back to 1 while nothing is tried, so that a bad spell is forgotten. */
function smoothEfficiency(before: number, triedBytes: number, movedBytes: number): number {
  if (triedBytes < MIB) return Math.min(1, before + 0.02);
  return 0.6 * before + 0.4 * Math.min(1, movedBytes / triedBytes);
}

/** The bandwidth limit of demotions, as bytes of one pass. */
export function demotionLimit(node: NodeObservation, policy: Policy): number {
  return inOnePass(policy.demotion.maxMiBPerSecond, node, policy);
}

/** The same for promotions. */
export function promotionLimit(node: NodeObservation, policy: Policy): number {
  return inOnePass(policy.promotion.maxMiBPerSecond, node, policy);
}

function inOnePass(mibPerSecond: number, { snapshot }: NodeObservation, policy: Policy): number {
  const intervalMs = snapshot?.aggregationIntervalMs ?? firstIntervals(policy).aggregationIntervalMs;
  return (mibPerSecond * MIB * intervalMs) / 1000;
}

/**
 * Whether nothing can be idle yet because monitoring has just begun. What is cold will soon be seen to be: to reach further now would take the young
 * filter to pages that nobody has looked at, which rejects them all and sets back the ages that are about to qualify.
 */
export function isTooYoungToBeIdle(firstSnapshotAtMs: number | undefined, policy: Policy, nowMs: number): boolean {
  const patienceMs = Math.min(MAX_PATIENCE_MS, policy.demotion.minAgeSeconds * 1000);
  return firstSnapshotAtMs === undefined || nowMs - firstSnapshotAtMs < patienceMs;
}
