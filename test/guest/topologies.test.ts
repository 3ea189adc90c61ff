import { afterEach, expect, it } from 'vitest';
import type { Guest } from './guest.ts';
import { bootWithTierd, discoverInGuest, TierdProcess } from './tierd-in-guest.ts';

let guest: Guest | undefined;

afterEach(async () => {
  await guest?.shutdown();
  guest = undefined;
});

// Long, for the image may have to be built and another guest of this machine may have to end first.
const limitMs = 1_800_000;

it(
  'without HMAT: how fast nodes are is known by distance only, until it is measured',
  async () => {
    guest = await bootWithTierd({ kernel: '6.12', topology: 'numa2-no-hmat' });
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
        { nodeId: 0, demotionTarget: 1 },
        { nodeId: 1, promotionTarget: 0 },
      ],
    });
    expect((await tierd.api.send('POST', '/v1/probe')).status).toBe(200);
    expect(await told()).toEqual({ ...before, sources: ['probe', 'probe'] });
    await tierd.stop();
  },
  limitMs,
);

it(
  'a kernel without DAMON: says so in one line; the topology is right all the same',
  async () => {
    guest = await bootWithTierd({ kernel: '6.1', topology: 'numa2' });
    for (const engine of ['auto', 'move_pages']) {
      const tierd = await TierdProcess.launch(guest, { engine });
      expect(await tierd.exitCode()).toBe(82);
      expect(tierd.stderr).toMatch(/^tierd: .*DAMON.*\n$/);
    }
    const { tiers, tierSource, paths } = await discoverInGuest(guest);
    expect(tiers.map(({ nodeIds }) => nodeIds)).toEqual([[0], [1]]);
    expect(tierSource).toBe('derived');
    expect(paths).toEqual([
      { nodeId: 0, demotionTarget: 1 },
      { nodeId: 1, promotionTarget: 0 },
    ]);
  },
  limitMs,
);
