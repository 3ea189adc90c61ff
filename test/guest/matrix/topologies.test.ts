import { expect } from 'vitest';
import { itInOwnGuest } from '../own-guest.ts';
import { discoverInGuest, TierdProcess } from '../tierd-in-guest.ts';

itInOwnGuest(
  'two sockets: each pairs up with the expander of its own',
  { kernel: '7.3', topology: 'two-sockets' },
  async (guest) => {
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
      { nodeId: 0, promotionTargets: [], demotionTargets: [2, 3] },
      { nodeId: 1, promotionTargets: [], demotionTargets: [3, 2] },
      { nodeId: 2, promotionTargets: [0, 1], demotionTargets: [] },
      { nodeId: 3, promotionTargets: [1, 0], demotionTargets: [] },
    ]);
    expect((await tierd.api.schemes()).kdamonds.map(({ nodeId }) => nodeId)).toEqual([0, 1, 2, 3]);
    await tierd.stop();
  },
);

itInOwnGuest('three tiers: a chain', { kernel: '7.3', topology: 'three-tiers' }, async (guest) => {
  const tierd = await TierdProcess.start(guest);
  const { tiers, paths } = await tierd.api.topology();
  expect(tiers.map(({ nodeIds }) => nodeIds)).toEqual([[0], [1], [2]]);
  expect(paths).toEqual([
    { nodeId: 0, promotionTargets: [], demotionTargets: [1, 2] },
    { nodeId: 1, promotionTargets: [0], demotionTargets: [2] },
    { nodeId: 2, promotionTargets: [1, 0], demotionTargets: [] },
  ]);
  expect((await tierd.api.schemes()).kdamonds.map(({ nodeId }) => nodeId)).toEqual([0, 1, 2]);
  await tierd.stop();
});

itInOwnGuest(
  'a kernel without DAMON: says so in one line; the topology is right all the same',
  { kernel: '6.1', topology: 'numa2' },
  async (guest) => {
    for (const engine of ['auto', 'move_pages']) {
      const tierd = await TierdProcess.launch(guest, { engine });
      expect(await tierd.exitCode()).toBe(82);
      expect(tierd.stderr).toMatch(/^tierd: .*DAMON.*\n$/);
    }
    const { tiers, tierSource, paths } = await discoverInGuest(guest);
    expect(tiers.map(({ nodeIds }) => nodeIds)).toEqual([[0], [1]]);
    expect(tierSource).toBe('derived');
    expect(paths).toEqual([
      { nodeId: 0, promotionTargets: [], demotionTargets: [1] },
      { nodeId: 1, promotionTargets: [0], demotionTargets: [] },
    ]);
  },
);

itInOwnGuest(
  'without HMAT: how fast nodes are is known by distance only, until it is measured',
  { kernel: '6.12', topology: 'numa2-no-hmat' },
  async (guest) => {
    const tierd = await TierdProcess.start(guest);
    const told = async () => {
      const { nodes, tiers, paths } = await tierd.api.topology();
      return { sources: nodes.map(({ speedSource }) => speedSource), tiers, paths };
    };
    const before = await told();
    expect(before).toEqual({
      sources: ['distance', 'distance'],
      tiers: [
        { rank: 0, nodeIds: [0] },
        { rank: 1, nodeIds: [1] },
      ],
      paths: [
        { nodeId: 0, promotionTargets: [], demotionTargets: [1] },
        { nodeId: 1, promotionTargets: [0], demotionTargets: [] },
      ],
    });
    expect((await tierd.api.send('POST', '/v1/probe')).status).toBe(200);
    expect(await told()).toEqual({ ...before, sources: ['probe', 'probe'] });
    await tierd.stop();
  },
);
