import { describe, expect, it } from 'vitest';
import type { Observation } from '../../../tiering/observation.ts';
import { AS_ON_6_12, DRAM, numa2, SLOW } from './hosts.ts';
import type { AccessRate, HostNode, HostOptions } from './simulated-host.ts';
import { MIB } from './simulated-host.ts';

/** What the tuner does in the long run when not all wishes can be met. */

const HOT = 0.9;
const COLD = 0;

describe('overcommit: more hot memory than DRAM holds', () => {
  it.each([
    ['a plain host', 10, {}],
    ['Linux 6.12', 3, AS_ON_6_12],
    ['fast migration', 3, { migrationMiBPerSecond: 1000 }],
    ['a third of the snapshots lost', 3, { lostSnapshotShare: 0.33 }],
  ])('hot memory fills the node to its target, then next to nothing moves: %s', (_, minutes, options) => {
    const host = numa2(options);
    host.allocate('hot above', 0, 400, HOT);
    const cold = host.allocate('cold', 0, 300, COLD);
    host.allocate('hot below', 1, 800, HOT);

    // Cold memory between hot ones, less than a hundredth of the node at a time, is not worth looking for.
    expect(host.runUntil(() => host.mibOn(cold, 0) < 0.04 * DRAM.totalMiB, 120)).toBeLessThan(60);
    host.run(60);
    const { movedMiB } = host;
    host.run(minutes * 60);

    expect(host.usedShare(0)).toBeGreaterThan(0.93);
    expect(host.usedShare(0)).toBeLessThanOrEqual(0.95);
    // Some cold memory may come back in regions that hold hot memory too.
    expect(host.mibOn(cold, 0)).toBeLessThan(0.04 * DRAM.totalMiB);
    expect((host.movedMiB - movedMiB) / minutes).toBeLessThan(0.01 * DRAM.totalMiB);
  });
});

describe('memory that turns hot whenever it is on the slow node', () => {
  const pingPong: AccessRate = (nodeId) => (nodeId === 1 ? HOT : COLD);

  it('is left alone for longer and longer, and counted', () => {
    const host = numa2();
    host.allocate('above', 0, 780, pingPong);
    host.allocate('below', 1, 600, pingPong);
    const busyShare = (minutes: number) => {
      const sinceMs = host.nowMs;
      host.run(minutes * 60);
      const ticks = host.ticks.filter((tick) => tick.observation.nowMs >= sinceMs);
      const busy = ticks.filter((tick) => tick.tuning.orders.some((order) => (order.demotion?.budgetBytes ?? 0) > 0));
      return busy.length / ticks.length;
    };

    const first = busyShare(2);
    const pauses = [busyShare(3), busyShare(4), busyShare(8)];

    expect(host.ticks.at(-1)?.tuning.pingPongBytes).toBeGreaterThan(500 * MIB);
    expect(first).toBeGreaterThan(0.2);
    for (const share of pauses) expect(share).toBeLessThan(0.5 * first);
    expect(pauses[2]).toBeLessThan(0.15);
  });

  it('an exchange that helps is not taken for it', () => {
    const host = numa2({ migrationMiBPerSecond: 15 });
    host.allocate('cold', 0, 820, COLD);
    host.allocate('hot', 1, 600, HOT);

    host.run(120);

    expect(host.ticks.at(-1)?.tuning.pingPongBytes).toBe(0);
  });
});

describe('memory that cannot move', () => {
  const ofKernelMemory = { ...DRAM, kernelMiB: 880 };

  /** Passes a minute that tried to demote anything, in the first two minutes and in the eight after. */
  function triedPasses(fast: HostNode, hotMiB: number, options: Partial<HostOptions> = {}) {
    const host = numa2({ nodes: [fast, SLOW], ...options });
    host.allocate('hot above', 0, hotMiB, HOT);
    host.allocate('hot below', 1, 300, HOT);
    const perMinute = (minutes: number) => {
      const sinceMs = host.nowMs;
      host.run(minutes * 60);
      const tried = host.passesSince(sinceMs).filter((pass) => pass.direction === 'demotion' && pass.triedBytes > 0);
      return tried.length / minutes;
    };
    return { atFirst: perMinute(2), later: perMinute(8), demotedMiB: host.demotedMiB };
  }

  it('is tried less and less: a fast node of hot memory', () => {
    const { atFirst, later, demotedMiB } = triedPasses(DRAM, 810);
    // What is as hot as what waits is not even tried.
    expect(atFirst).toBeLessThan(10);
    expect(later).toBeLessThan(10);
    expect(demotedMiB).toBeLessThan(10);
  });

  it('is tried less and less: a fast node of kernel memory', () => {
    const { atFirst, later, demotedMiB } = triedPasses(ofKernelMemory, 0);
    expect(atFirst).toBeGreaterThan(2.5);
    expect(later).toBeLessThan(0.5 * atFirst);
    expect(demotedMiB).toBeLessThan(10);
  });

  it.each<[string, HostNode, number]>([
    ['hot memory', DRAM, 810],
    ['kernel memory', ofKernelMemory, 0],
  ])(
    'where the kernel does not tell what can move it is tried less and less, too: a fast node of %s',
    (_, fast, hotMiB) => {
      const observe = (observation: Observation): Observation => ({
        ...observation,
        nodes: observation.nodes.map(({ movableBytes: _untold, ...node }) => node),
      });
      const { atFirst, later, demotedMiB } = triedPasses(fast, hotMiB, { observe });
      expect(atFirst).toBeGreaterThan(2.5);
      expect(later).toBeLessThan(Math.min(10, 0.5 * atFirst));
      expect(demotedMiB).toBeLessThan(10);
    },
  );

  // 26 since a reach is given up only after all of its candidates were tried, step by step.
  it('with few passes, even if there is a lot of it', () => {
    expect(triedPasses(ofKernelMemory, 0).later).toBeLessThan(10);
  });
});
