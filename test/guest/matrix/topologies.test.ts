import { afterEach, expect, it } from 'vitest';
import type { Guest } from '../guest.ts';
import { bootWithTierd, TierdProcess } from '../tierd-in-guest.ts';

let guest: Guest | undefined;

afterEach(async () => {
  await guest?.shutdown();
  guest = undefined;
});

// Long, for the image may have to be built and another guest of this machine may have to end first.
const limitMs = 1_800_000;

it(
  'two sockets: each pairs up with the expander of its own',
  async () => {
    guest = await bootWithTierd({ kernel: '7.3', topology: 'two-sockets' });
    const tierd = await TierdProcess.start(guest);
    const { nodes, tiers, paths } = await tierd.api.topology();
    expect(nodes.map(({ nodeId, kind }) => [nodeId, kind])).toEqual([
      [0, 'dram'],
      [1, 'dram'],
      [2, 'memory-only'],
      [3, 'memory-only'],
    ]);
    expect(tiers).toEqual([
      { rank: 0, nodeIds: [0, 1] },
      { rank: 1, nodeIds: [2, 3] },
    ]);
    expect(paths).toEqual([
      { nodeId: 0, demotionTarget: 2 },
      { nodeId: 1, demotionTarget: 3 },
      { nodeId: 2, promotionTarget: 0 },
      { nodeId: 3, promotionTarget: 1 },
    ]);
    expect((await tierd.api.schemes()).kdamonds.map(({ nodeId }) => nodeId)).toEqual([0, 1, 2, 3]);
    await tierd.stop();
  },
  limitMs,
);

it(
  'three tiers: a chain',
  async () => {
    guest = await bootWithTierd({ kernel: '7.3', topology: 'three-tiers' });
    const tierd = await TierdProcess.start(guest);
    const { tiers, paths } = await tierd.api.topology();
    expect(tiers.map(({ nodeIds }) => nodeIds)).toEqual([[0], [1], [2]]);
    expect(paths).toEqual([
      { nodeId: 0, demotionTarget: 1 },
      { nodeId: 1, promotionTarget: 0, demotionTarget: 2 },
      { nodeId: 2, promotionTarget: 1 },
    ]);
    expect((await tierd.api.schemes()).kdamonds.map(({ nodeId }) => nodeId)).toEqual([0, 1, 2]);
    await tierd.stop();
  },
  limitMs,
);
