import { expect } from 'vitest';
import { itInOwnGuest } from './own-guest.ts';
import { TierdProcess } from './tierd-in-guest.ts';

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
        { nodeId: 0, demotionTarget: 1 },
        { nodeId: 1, promotionTarget: 0 },
      ],
    });
    expect((await tierd.api.send('POST', '/v1/probe')).status).toBe(200);
    expect(await told()).toEqual({ ...before, sources: ['probe', 'probe'] });
    await tierd.stop();
  },
);
