import { describe, expect, it } from 'vitest';
import { engineState } from '../../../tiering/loop/state.ts';
import { DRAM, numa2, SLOW } from './hosts.ts';
import { SimulatedHost } from './simulated-host.ts';

const HOT = 0.9;
const COLD = 0;

/** Two sockets with an expander each; what is hot lies on the expanders. */
function twoSockets(command: (nodeId: number, nowMs: number) => 'taken' | 'fails' | 'hangs') {
  const host = new SimulatedHost({
    nodes: [DRAM, { ...DRAM, nodeId: 1 }, { ...SLOW, nodeId: 2 }, { ...SLOW, nodeId: 3 }],
    paths: [
      { nodeId: 0, promotionTargets: [], demotionTargets: [2] },
      { nodeId: 1, promotionTargets: [], demotionTargets: [3] },
      { nodeId: 2, promotionTargets: [0], demotionTargets: [] },
      { nodeId: 3, promotionTargets: [1], demotionTargets: [] },
    ],
    command,
  });
  return { host, near: host.allocate('hot on 2', 2, 200, HOT), far: host.allocate('hot on 3', 3, 200, HOT) };
}

describe('a command to a kdamond that fails', () => {
  it('leaves the other nodes to work, is told, and its node goes on once commands are taken again', () => {
    const { host, near, far } = twoSockets((nodeId, nowMs) => (nodeId === 3 && nowMs < 20_000 ? 'fails' : 'taken'));
    host.run(15);
    expect(host.mibOn(near, 0)).toBe(200);
    expect(host.mibOn(far, 1)).toBe(0);
    expect(engineState(host.loop)).toBe('degraded');
    expect(host.told.findLast(({ type }) => type === 'state')).toMatchObject({
      message: expect.stringContaining('node 3: its kdamond takes no change'),
    });

    expect(host.runUntil(() => host.mibOn(far, 1) >= 195, 120)).toBeLessThan(60);
    host.run(10);
    expect(engineState(host.loop)).toBe('settled');
  });

  it('now and then costs time and nothing else, where memory must go both ways', () => {
    const host = numa2({ command: (_, nowMs) => (nowMs % 10_000 < 1_500 ? 'fails' : 'taken') });
    host.allocate('cold', 0, 810, COLD);
    const hot = host.allocate('hot', 1, 200, HOT);
    expect(host.runUntil(() => host.mibOn(hot, 0) >= 190, 300)).toBeLessThan(120);
    host.run(30);
    expect(host.movedMiB).toBeLessThan(1.3 * 400);
    expect(host.minFreeMiB(0)).toBeGreaterThanOrEqual(48);
  });
});

describe('a command to a kdamond that hangs', () => {
  it('leaves the other nodes to work, is told, and its node goes on once it ends', () => {
    const { host, near, far } = twoSockets((nodeId, nowMs) => (nodeId === 3 && nowMs < 40_000 ? 'hangs' : 'taken'));
    host.run(39);
    expect(host.mibOn(near, 0)).toBe(200);
    expect(host.mibOn(far, 1)).toBe(0);
    expect(engineState(host.loop)).toBe('degraded');

    expect(host.runUntil(() => host.mibOn(far, 1) >= 195, 120)).toBeLessThan(60);
    host.run(10);
    expect(engineState(host.loop)).toBe('settled');
  });
});
