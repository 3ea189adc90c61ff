import { describe, expect, it } from 'vitest';
import type { Observation } from '../../../tiering/observation.ts';
import type { Policy } from '../../../tiering/policy.ts';
import { DEFAULT_POLICY } from '../../../tiering/policy.ts';
import { AS_ON_6_12, CONDITIONS, DRAM, numa2, SLOW } from './hosts.ts';
import { MIB, SimulatedHost } from './simulated-host.ts';

const HOT = 0.9;
const COLD = 0;

function policy(change: Partial<Policy>): Policy {
  return { ...DEFAULT_POLICY, ...change };
}

function demotionOrders(host: SimulatedHost, sinceMs = 0) {
  return host.ordersSince(sinceMs).filter(({ demotion }) => demotion !== undefined && demotion.budgetBytes > 0);
}

function busyOrders(host: SimulatedHost, sinceMs = 0) {
  return host
    .ordersSince(sinceMs)
    .filter(({ promotion, demotion }) => (promotion?.budgetBytes ?? 0) + (demotion?.budgetBytes ?? 0) > 0);
}

describe('room: hot memory on the slow node, space to spare on the fast one', () => {
  it.each(CONDITIONS)('goes up at once and nothing else moves: %s', (_, options) => {
    const host = numa2(options);
    const cold = host.allocate('cold', 0, 400, COLD);
    const hot = host.allocate('hot', 1, 200, HOT);

    expect(host.runUntil(() => host.mibOn(hot, 0) >= 190, 60)).toBeLessThan(15);
    host.run(30);

    expect(host.mibOn(hot, 0)).toBeGreaterThan(198);
    expect(host.mibOn(cold, 0)).toBe(400);
    expect(host.movedMiB).toBeLessThan(1.05 * 200);
    expect(demotionOrders(host)).toEqual([]);
  });
});

describe('full: cold memory fills the fast node, hot memory waits below', () => {
  // The hot bytes go up, as many cold ones down, and 4 MiB more because the node starts above its target.
  const leastMiB = 300 + 300 - 50 + 54 + 4;

  it.each(CONDITIONS)('cold makes room in time, and no more than needed: %s', (_, options) => {
    const host = numa2(options);
    host.allocate('cold', 0, 820, COLD);
    const hot = host.allocate('hot', 1, 300, HOT);

    expect(host.runUntil(() => host.mibOn(hot, 0) >= 270, 120)).toBeLessThan(30);
    host.run(30);

    expect(host.mibOn(hot, 0)).toBeGreaterThan(295);
    expect(host.movedMiB).toBeLessThan(1.15 * leastMiB);
    expect(host.minFreeMiB(0)).toBeGreaterThanOrEqual(48);
  });

  it('comes to rest: nothing is tried any more', () => {
    const host = numa2();
    host.allocate('cold', 0, 820, COLD);
    host.allocate('hot', 1, 300, HOT);
    host.run(60);
    const settledMs = host.nowMs;

    host.run(60);

    expect(host.passesSince(settledMs).reduce((bytes, pass) => bytes + pass.triedBytes, 0)).toBeLessThan(MIB);
  });

  it('a shift of gigabytes does not crawl', () => {
    const host = new SimulatedHost({
      nodes: [
        { nodeId: 0, totalMiB: 8192, tier: 0, highWatermarkMiB: 100, kernelMiB: 300 },
        { nodeId: 1, totalMiB: 12_288, tier: 1, highWatermarkMiB: 100, kernelMiB: 100 },
      ],
      migrationMiBPerSecond: 2000,
    });
    host.allocate('cold', 0, 7700, COLD);
    const hot = host.allocate('hot', 1, 2000, HOT);

    expect(host.runUntil(() => host.mibOn(hot, 0) >= 1800, 120)).toBeLessThan(30);
  });
});

describe('a first pass without a quota', () => {
  it('takes nothing with it, as what has no order matches nothing', () => {
    const host = numa2(AS_ON_6_12);
    const [hot, cold] = [host.allocate('hot', 1, 200, HOT), host.allocate('cold', 0, 400, COLD)];
    const nothingMoved = () => host.mibOn(hot, 1) === 200 && host.mibOn(cold, 0) === 400;

    // The first passes of both kdamonds come half a second after their start, before the first decision.
    host.run(0.6);
    expect(host.passes.length).toBeGreaterThan(0);
    expect(nothingMoved()).toBe(true);

    host.run(20);
    for (const { triedBytes, budgetBytes } of host.passes) expect(triedBytes).toBeLessThanOrEqual(budgetBytes);
  });
});

describe('overfull: more is used than fastUtilization allows', () => {
  it('goes down to the target with the coldest, and stays', () => {
    const host = numa2({ policy: policy({ fastUtilization: 0.6 }) });
    const hot = host.allocate('hot', 0, 200, HOT);
    const warm = host.allocate('warm', 0, 100, 0.12);
    const cold = host.allocate('cold', 0, 400, COLD);

    expect(host.runUntil(() => host.usedShare(0) < 0.61, 60)).toBeLessThan(20);
    host.run(10);
    const { movedMiB } = host;
    host.run(120);

    expect(host.usedShare(0)).toBeGreaterThan(0.58);
    expect(host.usedShare(0)).toBeLessThan(0.61);
    expect(host.movedMiB - movedMiB).toBeLessThan(2);
    expect(host.mibOn(hot, 0)).toBe(200);
    expect(host.mibOn(warm, 0)).toBeGreaterThan(95);
    expect(host.mibOn(cold, 0)).toBeLessThan(200);
  });

  /** Seconds until a node of hot and cold memory is down to 15 %. */
  function shrink(host: SimulatedHost): number {
    host.policy = policy({ fastUtilization: 0.15 });
    return host.runUntil(() => host.usedShare(0) < 0.17, 120);
  }

  // 49 s since all candidates are tried first: most of what is never accessed on the node is free by then.
  it('hot memory leaves in time when nothing else is left', () => {
    const host = numa2();
    host.allocate('hot', 0, 200, HOT);
    host.allocate('cold', 0, 450, COLD);
    host.run(10);

    expect(shrink(host)).toBeLessThan(40);
  });

  it('hot memory leaves when nothing else is left, and is back when the target rises', () => {
    const host = numa2();
    const hot = host.allocate('hot', 0, 200, HOT);
    const cold = host.allocate('cold', 0, 450, COLD);
    host.run(10);
    expect(host.movedMiB).toBe(0);

    expect(shrink(host)).toBeLessThan(60);
    host.run(20);
    expect(host.usedShare(0)).toBeGreaterThan(0.13);
    expect(host.mibOn(cold, 0)).toBeLessThan(10);

    host.policy = policy({ fastUtilization: 0.95 });
    const coldBelow = host.mibOn(cold, 1);
    expect(host.runUntil(() => host.mibOn(hot, 0) > 198, 120)).toBeLessThan(40);
    host.run(20);
    // Regions of a few MiB hold cold neighbours of hot pages, and there is room for them.
    expect(host.mibOn(cold, 1)).toBeGreaterThan(0.75 * coldBelow);
  });

  it('slack of a few MiB over the target moves nothing', () => {
    const host = numa2({ policy: policy({ fastUtilization: 0.6 }) });
    host.allocate('cold', 0, 960 * 0.6 - 90 + 2, COLD);

    host.run(60);

    expect(busyOrders(host)).toEqual([]);
  });
});

describe('shift: two buffers swap roles', () => {
  it.each([
    ['a plain host', {}],
    ['Linux 6.12', AS_ON_6_12],
    ['a third of the snapshots lost', { lostSnapshotShare: 0.33 }],
  ])('the new hot one goes up, the other makes room: %s', (_, options) => {
    const host = numa2(options);
    const before = host.allocate('hot first', 0, 200, HOT);
    host.allocate('cold', 0, 580, COLD);
    const after = host.allocate('hot later', 1, 200, COLD);
    host.run(30);
    expect(host.movedMiB).toBe(0);

    before.rate = COLD;
    after.rate = HOT;
    expect(host.runUntil(() => host.mibOn(after, 0) >= 180, 120)).toBeLessThan(30);
    host.run(30);

    expect(host.mibOn(after, 0)).toBeGreaterThan(195);
    expect(host.movedMiB).toBeLessThan(1.3 * 366);
  });
});

describe('nothing to do', () => {
  it.each([
    ['all hot memory is fast already', 500, 1, HOT],
    ['nothing is hot anywhere', 1, 500, COLD],
    ['the fast node is full of cold memory that nobody wants to replace', 1, 810, COLD],
  ])('no orders and no bytes: %s', (_, hotMiB, coldMiB, rateBelow) => {
    const host = numa2();
    host.allocate('hot', 0, hotMiB, HOT);
    host.allocate('cold', 0, coldMiB, COLD);
    if (rateBelow === COLD) host.allocate('below', 1, 500, COLD);

    host.run(120);

    expect(busyOrders(host)).toEqual([]);
    expect(host.passes.every((pass) => pass.triedBytes === 0)).toBe(true);
  });
});

describe('limits', () => {
  it('no pass tries more than the bandwidth limits times the aggregation interval', () => {
    const aggregationSeconds = 0.5;
    const host = numa2({
      policy: policy({
        monitoring: { ...DEFAULT_POLICY.monitoring, aggregationIntervalMs: aggregationSeconds * 1000 },
        promotion: { ...DEFAULT_POLICY.promotion, maxMiBPerSecond: 30 },
        demotion: { ...DEFAULT_POLICY.demotion, maxMiBPerSecond: 20 },
      }),
    });
    host.allocate('cold', 0, 820, COLD);
    host.allocate('hot', 1, 300, HOT);

    host.run(30);

    expect(host.promotedMiB).toBeGreaterThan(100);
    for (const { direction, triedBytes, budgetBytes } of host.passes) {
      expect(budgetBytes).toBeLessThanOrEqual((direction === 'promotion' ? 30 : 20) * aggregationSeconds * MIB);
      expect(triedBytes).toBeLessThanOrEqual(budgetBytes);
    }
  });

  it('promotions keep the headroom that the operator asked for', () => {
    const host = numa2({ policy: policy({ headroomMiB: 200 }) });
    host.allocate('hot', 1, 1000, HOT);

    host.run(60);

    expect(host.usedShare(0)).toBeGreaterThan(0.75);
    expect(host.minFreeMiB(0)).toBeGreaterThan(190);
  });

  it('an allocation that takes the headroom is made up for before more is promoted', () => {
    const host = numa2();
    host.allocate('cold', 0, 500, COLD);
    host.allocate('hot', 1, 200, HOT);
    host.run(20);
    host.allocate('new', 0, Math.floor(host.freeMiB(0)) - 50, COLD);
    const { promotedMiB } = host;

    host.run(20);

    expect(host.promotedMiB).toBe(promotedMiB);
    expect(host.freeMiB(0)).toBeGreaterThanOrEqual(50);
  });

  it('with next to no room on either node the exchange goes in small steps', () => {
    const host = numa2({ nodes: [DRAM, { ...SLOW, totalMiB: 600 }] });
    host.allocate('cold', 0, 810, COLD);
    host.allocate('cold below', 1, 254, COLD);
    const hot = host.allocate('hot', 1, 300, HOT);

    host.run(60);

    expect(host.mibOn(hot, 0)).toBeGreaterThan(100);
    expect(host.minFreeMiB(0)).toBeGreaterThanOrEqual(48);
    expect(host.minFreeMiB(1)).toBeGreaterThanOrEqual(20);
  });

  it('a slow node without any room takes nothing, and nothing is tried in vain', () => {
    const host = numa2({ nodes: [DRAM, { ...SLOW, totalMiB: 600 }] });
    host.allocate('cold', 0, 818, COLD);
    host.allocate('cold below', 1, 258, COLD);
    host.allocate('hot', 1, 300, HOT);

    host.run(60);

    expect(busyOrders(host)).toEqual([]);
  });
});

describe('watching that fails', () => {
  const without = (nodeIds: readonly number[]) => (observation: Observation) => ({
    ...observation,
    nodes: observation.nodes.map((node) => {
      const { snapshot, ...rest } = node;
      return nodeIds.includes(node.nodeId) || snapshot === undefined ? rest : { ...rest, snapshot };
    }),
  });

  it.each([
    ['no snapshots at all', [0, 1]],
    ['no snapshot of the slow node', [1]],
  ])('%s: nothing is ordered', (_, nodeIds) => {
    const host = numa2({ observe: without(nodeIds), policy: policy({ fastUtilization: 0.9 }) });
    host.allocate('cold', 0, 600, COLD);
    host.allocate('hot', 1, 300, HOT);

    host.run(30);

    expect(host.movedMiB).toBe(0);
  });

  it('no snapshot of the fast node: what has room still goes up, nothing is demoted blindly', () => {
    const host = numa2({ observe: without([0]) });
    host.allocate('cold', 0, 600, COLD);
    const hot = host.allocate('hot', 1, 300, HOT);

    host.run(30);

    expect(host.demotedMiB).toBe(0);
    expect(host.freeMiB(0)).toBeLessThan(60);
    expect(host.mibOn(hot, 0)).toBeGreaterThan(200);
  });

  it('a node that is observed no more gets no orders, and its past is forgotten', () => {
    let hidden = false;
    const host = numa2({
      observe: (observation) =>
        hidden ? { ...observation, nodes: observation.nodes.filter((node) => node.nodeId !== 1) } : observation,
    });
    host.allocate('hot', 1, 500, HOT);
    host.run(3);
    hidden = true;
    const sinceMs = host.nowMs + 2000;

    host.run(10);

    expect(host.ordersSince(sinceMs).map((order) => order.nodeId)).not.toContain(1);
  });
});

describe('dry run', () => {
  it('moves nothing and goes on saying what it would do', () => {
    const host = numa2({ policy: policy({ dryRun: true }) });
    host.allocate('cold', 0, 820, COLD);
    host.allocate('hot', 1, 300, HOT);

    host.run(60);

    expect(host.movedMiB).toBe(0);
    expect(demotionOrders(host, 30_000).length).toBeGreaterThan(20);
  });
});
