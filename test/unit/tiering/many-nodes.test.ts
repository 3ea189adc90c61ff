import { describe, expect, it } from 'vitest';
import { DRAM, SLOW } from './hosts.ts';
import { SimulatedHost } from './simulated-host.ts';

const HOT = 0.9;
const COLD = 0;

describe('more than two nodes', () => {
  it('several slow nodes share the room of one fast node', () => {
    const host = new SimulatedHost({
      nodes: [DRAM, SLOW, { ...SLOW, nodeId: 2 }],
      paths: [
        { nodeId: 0, promotionTargets: [], demotionTargets: [1] },
        { nodeId: 1, promotionTargets: [0], demotionTargets: [] },
        { nodeId: 2, promotionTargets: [0], demotionTargets: [] },
      ],
    });
    host.allocate('cold', 0, 810, COLD);
    const first = host.allocate('hot on 1', 1, 200, HOT);
    const second = host.allocate('hot on 2', 2, 300, HOT);

    expect(host.runUntil(() => host.mibOn(first, 0) + host.mibOn(second, 0) >= 450, 120)).toBeLessThan(30);
    host.run(20);

    expect(host.mibOn(first, 0)).toBeGreaterThan(195);
    expect(host.mibOn(second, 0)).toBeGreaterThan(295);
    expect(host.movedMiB).toBeLessThan(1.15 * (500 + 500 - 6));
    expect(host.minFreeMiB(0)).toBeGreaterThanOrEqual(48);
  });

  it('two sockets mind their own expanders', () => {
    const host = new SimulatedHost({
      nodes: [DRAM, { ...DRAM, nodeId: 1 }, { ...SLOW, nodeId: 2 }, { ...SLOW, nodeId: 3 }],
      paths: [
        { nodeId: 0, promotionTargets: [], demotionTargets: [2] },
        { nodeId: 1, promotionTargets: [], demotionTargets: [3] },
        { nodeId: 2, promotionTargets: [0], demotionTargets: [] },
        { nodeId: 3, promotionTargets: [1], demotionTargets: [] },
      ],
    });
    const hot = host.allocate('hot on 2', 2, 200, HOT);
    host.allocate('cold on 1', 1, 810, COLD);

    host.run(20);

    expect(host.mibOn(hot, 0)).toBe(200);
    expect(host.movedMiB).toBe(200);
    expect(host.ordersSince(0).filter(({ nodeId, demotion }) => nodeId === 1 && demotion?.budgetBytes)).toEqual([]);
  });

  it('in three tiers hot memory climbs to the top, and what makes room for it goes down one by one', () => {
    const host = new SimulatedHost({
      nodes: [
        DRAM,
        { nodeId: 1, totalMiB: 960, tier: 1, highWatermarkMiB: 20, kernelMiB: 10 },
        { nodeId: 2, totalMiB: 2048, tier: 2, highWatermarkMiB: 20, kernelMiB: 10 },
      ],
    });
    host.allocate('cold above', 0, 810, COLD);
    host.allocate('cold between', 1, 920, COLD);
    const hot = host.allocate('hot', 2, 300, HOT);

    expect(host.runUntil(() => host.mibOn(hot, 0) >= 270, 120)).toBeLessThan(60);
    host.run(60);

    // Less than half a MiB is not worth a promotion.
    expect(host.mibOn(hot, 0)).toBeGreaterThan(299);
    // Up two steps, and on each step as much cold memory down.
    expect(host.movedMiB).toBeLessThan(1.4 * 4 * 300);
  });
});
