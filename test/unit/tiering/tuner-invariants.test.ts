import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { Topology } from '../../../numa/topology.ts';
import type { NodeObservation, Observation } from '../../../tiering/observation.ts';
import type { Policy } from '../../../tiering/policy.ts';
import { DEFAULT_POLICY } from '../../../tiering/policy.ts';
import { keepFreeBytes } from '../../../tiering/tuner/headroom.ts';
import type { NodeOrders } from '../../../tiering/tuner/order.ts';
import { hotMemory } from '../../../tiering/tuner/reach.ts';
import type { TunerState } from '../../../tiering/tuner/tune.ts';
import { FRESH_TUNER, tune } from '../../../tiering/tuner/tune.ts';
import { numa2 } from './hosts.ts';
import { machine } from './machines.ts';
import { MIB } from './simulated-host.ts';

const SEED = 20_261_123;
const MAX_NR_ACCESSES = 20;

const THREE_TIERS = machine([
  { nodeId: 0, totalMiB: 1000, tier: 0 },
  { nodeId: 1, totalMiB: 1000, tier: 1 },
  { nodeId: 2, totalMiB: 1000, tier: 2 },
]);

const MACHINES = [
  THREE_TIERS,
  machine([
    { nodeId: 0, totalMiB: 1000, tier: 0 },
    { nodeId: 1, totalMiB: 1000, tier: 1 },
    { nodeId: 2, totalMiB: 1000, tier: 1 },
  ]),
  machine([
    { nodeId: 0, totalMiB: 1000, tier: 0 },
    { nodeId: 1, totalMiB: 1000, tier: 0 },
    { nodeId: 2, totalMiB: 1000, tier: 1 },
  ]),
];

/** Regions of any rates and ages, not necessarily in keeping with the node's free memory. */
const regions = fc.array(
  fc.record({
    mib: fc.integer({ min: 1, max: 300 }),
    nrAccesses: fc.integer({ min: 0, max: MAX_NR_ACCESSES }),
    age: fc.integer({ min: 0, max: 100 }),
  }),
  { maxLength: 8 },
);

const observedNode = fc.record({
  freeMiB: fc.integer({ min: 0, max: 1000 }),
  watermarkMiB: fc.integer({ min: 0, max: 200 }),
  regions: fc.option(regions),
  flows: fc.array(fc.integer({ min: 0, max: 300 }), { minLength: 4, maxLength: 4 }),
});

const course = fc.array(
  fc.record({ afterMs: fc.integer({ min: 1, max: 5000 }), nodes: fc.array(observedNode, { maxLength: 3 }) }),
  { minLength: 1, maxLength: 12 },
);

const policies: fc.Arbitrary<Policy> = fc
  .record({
    fastUtilization: fc.double({ min: 0.05, max: 0.99, noNaN: true }),
    headroomMiB: fc.oneof(fc.constant<'auto'>('auto'), fc.integer({ min: 0, max: 2000 })),
    upMiB: fc.integer({ min: 1, max: 2000 }),
    downMiB: fc.integer({ min: 1, max: 2000 }),
    dryRun: fc.boolean(),
  })
  .map(({ fastUtilization, headroomMiB, upMiB, downMiB, dryRun }) => ({
    ...DEFAULT_POLICY,
    fastUtilization,
    headroomMiB,
    dryRun,
    promotion: { ...DEFAULT_POLICY.promotion, maxMiBPerSecond: upMiB },
    demotion: { ...DEFAULT_POLICY.demotion, maxMiBPerSecond: downMiB },
  }));

type Course = typeof course extends fc.Arbitrary<infer Value> ? Value : never;

function observations(ticks: Course): Observation[] {
  let nowMs = 0;
  return ticks.map(({ afterMs, nodes }) => {
    nowMs += afterMs;
    return { nowMs, nodes: nodes.map((node, nodeId): NodeObservation => observe(nodeId, nowMs, node)) };
  });
}

function observe(nodeId: number, nowMs: number, node: Course[number]['nodes'][number]): NodeObservation {
  const [promoted = 0, demoted = 0, promotionTried = 0, demotionTried = 0] = node.flows;
  let end = 0;
  return {
    nodeId,
    totalBytes: 1000 * MIB,
    freeBytes: node.freeMiB * MIB,
    highWatermarkBytes: node.watermarkMiB * MIB,
    promotedBytes: promoted * MIB,
    demotedBytes: demoted * MIB,
    promotionTriedBytes: (promoted + promotionTried) * MIB,
    demotionTriedBytes: (demoted + demotionTried) * MIB,
    ...(node.regions !== null && {
      snapshot: {
        nodeId,
        takenAtMs: nowMs,
        maxNrAccesses: MAX_NR_ACCESSES,
        aggregationIntervalMs: 1000,
        regions: node.regions.map(({ mib, nrAccesses, age }) => {
          const start = end;
          end += mib * MIB;
          return { start, end, nrAccesses, age };
        }),
      },
    }),
  };
}

function forEveryTick(
  check: (orders: readonly NodeOrders[], observation: Observation, policy: Policy, topology: Topology) => void,
): void {
  fc.assert(
    fc.property(course, policies, fc.constantFrom(...MACHINES), (ticks, policy, topology) => {
      let state: TunerState = FRESH_TUNER;
      for (const observation of observations(ticks)) {
        const tuning = tune(state, observation, topology, policy);
        state = tuning.state;
        check(tuning.orders, observation, policy, topology);
      }
    }),
    { seed: SEED, numRuns: 300 },
  );
}

function nodeOf(observation: Observation, nodeId: number): NodeObservation | undefined {
  return observation.nodes.find((node) => node.nodeId === nodeId);
}

/** Whether anything hot is on other nodes than the first. */
function isHotElsewhere({ nodes }: Observation, policy: Policy): boolean {
  return nodes.some(
    ({ nodeId, snapshot }) => nodeId !== 0 && snapshot !== undefined && hotMemory(snapshot, policy).bytes > 0,
  );
}

describe('whatever is observed', () => {
  it('budgets are whole, finite, not negative, and within the bandwidth limits', () => {
    forEveryTick((orders, _, policy) => {
      for (const { promotion, demotion } of orders) {
        for (const [order, limit] of [
          [promotion, policy.promotion.maxMiBPerSecond],
          [demotion, policy.demotion.maxMiBPerSecond],
        ] as const) {
          if (order === undefined) continue;
          expect(Number.isSafeInteger(order.budgetBytes)).toBe(true);
          expect(order.budgetBytes).toBeGreaterThanOrEqual(0);
          expect(order.budgetBytes).toBeLessThanOrEqual(limit * MIB);
          expect(order.reason).not.toBe('');
        }
      }
    });
  });

  it('promotions into a node fit together into its room above what it must keep free', () => {
    forEveryTick((orders, observation, policy, { tiers }) => {
      const into = new Map<number, number>();
      for (const { promotion } of orders) {
        if (promotion === undefined) continue;
        into.set(promotion.targetNodeId, (into.get(promotion.targetNodeId) ?? 0) + promotion.budgetBytes);
      }
      for (const [nodeId, bytes] of into) {
        const target = nodeOf(observation, nodeId);
        if (target === undefined) throw new Error('a promotion into a node that nobody sees');
        const keepFree = keepFreeBytes(target, tiers[0]?.nodeIds.includes(nodeId) === true, policy);
        expect(bytes).toBeLessThanOrEqual(Math.max(0, target.freeBytes - keepFree));
      }
    });
  });

  it('an order goes to one of the targets of its path, and an order for each node with a target that is seen', () => {
    forEveryTick((orders, observation, _, { paths }) => {
      for (const { nodeId, promotionTargets, demotionTargets } of paths) {
        const order = orders.find((candidate) => candidate.nodeId === nodeId);
        if (order?.promotion) expect(promotionTargets).toContain(order.promotion.targetNodeId);
        if (order?.demotion) expect(demotionTargets).toContain(order.demotion.targetNodeId);
        if (nodeOf(observation, nodeId) === undefined) continue;
        if (promotionTargets.every((target) => nodeOf(observation, target) !== undefined)) {
          expect(order?.promotion !== undefined).toBe(promotionTargets.length > 0);
        }
      }
    });
  });

  it('promotions are no more than what is hot', () => {
    forEveryTick((orders, observation, policy) => {
      for (const { nodeId, promotion } of orders) {
        const snapshot = nodeOf(observation, nodeId)?.snapshot;
        const hot = snapshot === undefined ? 0 : hotMemory(snapshot, policy).bytes;
        expect(promotion?.budgetBytes ?? 0).toBeLessThanOrEqual(hot);
      }
    });
  });

  it('a node of the fastest tier with enough free memory demotes nothing while nothing hot waits', () => {
    forEveryTick((orders, observation, policy) => {
      const fast = nodeOf(observation, 0);
      if (fast === undefined || fast.freeBytes < keepFreeBytes(fast, true, policy)) return;
      if (isHotElsewhere(observation, policy)) return;
      expect(orders.find((order) => order.nodeId === 0)?.demotion?.budgetBytes ?? 0).toBe(0);
    });
  });

  it('a second pass of the same order does not take a node below its target, whatever failed before', () => {
    let seen = 0;
    forEveryTick((orders, observation, policy) => {
      const fast = nodeOf(observation, 0);
      const budgetBytes = orders.find((order) => order.nodeId === 0)?.demotion?.budgetBytes ?? 0;
      if (fast === undefined || budgetBytes === 0) return;
      if (isHotElsewhere(observation, policy)) return;
      const overTarget = keepFreeBytes(fast, true, policy) - fast.freeBytes;
      expect(budgetBytes).toBeLessThanOrEqual(Math.max(overTarget / 2, 16 * MIB));
      seen += 1;
    });
    expect(seen).toBeGreaterThan(20);
  });

  it('nothing is demoted into a node that is not seen or has no room, and no hot memory below the target', () => {
    forEveryTick((orders, observation, policy, { tiers }) => {
      for (const { nodeId, demotion } of orders) {
        if (demotion === undefined || demotion.budgetBytes === 0) continue;
        const target = nodeOf(observation, demotion.targetNodeId);
        const source = nodeOf(observation, nodeId);
        expect(target).toBeDefined();
        if (target === undefined || source === undefined) return;
        expect(target.freeBytes).toBeGreaterThan(keepFreeBytes(target, false, policy));
        const isOverTarget =
          source.freeBytes < keepFreeBytes(source, tiers[0]?.nodeIds.includes(nodeId) === true, policy);
        if (!isOverTarget) expect(demotion.reach).not.toBe('any');
      }
    });
  });

  it('a tick is a pure function of what it is given', () => {
    fc.assert(
      fc.property(course, policies, (ticks, policy) => {
        const run = () => {
          let state: TunerState = FRESH_TUNER;
          return observations(ticks).map((observation) => {
            const before = structuredClone(state);
            const tuning = tune(state, observation, THREE_TIERS, policy);
            expect(state).toEqual(before);
            state = tuning.state;
            return tuning;
          });
        };
        expect(run()).toEqual(run());
      }),
      { seed: SEED, numRuns: 50 },
    );
  });
});

describe('on any host', () => {
  it('hot memory that fits goes up with little more than that, and then all is quiet', () => {
    const hosts = fc.record({
      seed: fc.integer({ min: 0, max: 1_000_000 }),
      hotRate: fc.double({ min: 0.4, max: 1, noNaN: true }),
      hotAbove: fc.integer({ min: 0, max: 200 }),
      hotBelow: fc.integer({ min: 50, max: 300 }),
      coldAbove: fc.integer({ min: 0, max: 600 }),
      coldBelow: fc.integer({ min: 0, max: 600 }),
      migrationMiBPerSecond: fc.integer({ min: 60, max: 1000 }),
      missedShare: fc.double({ min: 0, max: 0.2, noNaN: true }),
      commitPostponesPass: fc.boolean(),
    });
    fc.assert(
      fc.property(hosts, ({ hotRate, hotAbove, hotBelow, coldAbove, coldBelow, ...options }) => {
        const host = numa2(options);
        const above = host.allocate('hot above', 0, hotAbove, hotRate);
        const below = host.allocate('hot below', 1, hotBelow, hotRate);
        host.allocate('cold above', 0, coldAbove, 0);
        host.allocate('cold below', 1, coldBelow, 0);
        const demotionNeededMiB = Math.max(0, hotBelow + 54 - host.freeMiB(0));
        host.run(60);
        const { movedMiB } = host;
        host.run(20);
        expect(host.mibOn(above, 0) + host.mibOn(below, 0)).toBeGreaterThan(0.95 * (hotAbove + hotBelow));
        expect(movedMiB).toBeLessThan(1.3 * (hotBelow + demotionNeededMiB) + 16);
        expect(host.movedMiB - movedMiB).toBeLessThan(10);
      }),
      { seed: SEED, numRuns: 12 },
    );
  });
});
