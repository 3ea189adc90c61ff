import { expect, test } from 'vitest';
import { nodeStatuses } from '../../../../tiering/loop/status-view.ts';
import { DEFAULT_POLICY } from '../../../../tiering/policy.ts';
import { ANY_REGION } from '../any-region.ts';
import { machine } from '../machines.ts';

const MIB = 1024 * 1024;
const EXPANDERS = machine([
  { nodeId: 0, totalMiB: 1024, tier: 0 },
  { nodeId: 1, totalMiB: 1024, tier: 1 },
  { nodeId: 2, totalMiB: 1024, tier: 1 },
]);

test('a node tells where its memory goes now and why, and without an order where it would go first', () => {
  const reason = '20 MiB idle wanted: 30 MiB over its target, to node 2, as node 1 has no room';
  const demotion = {
    budgetBytes: 20 * MIB,
    bounds: ANY_REGION,
    targetNodeId: 2,
    reach: 'idle',
    furthest: 'warm',
    reason,
  } as const;
  const [fast, near] = nodeStatuses(EXPANDERS, DEFAULT_POLICY, undefined, [{ nodeId: 0, demotion }]);
  expect(fast).toMatchObject({ demotionTarget: 2, decision: `demotion 20 MiB a pass: ${reason}` });
  expect(fast).not.toHaveProperty('promotionTarget');
  expect(near).toMatchObject({ promotionTarget: 0 });
  expect(nodeStatuses(EXPANDERS, DEFAULT_POLICY, undefined, [])[0]).toMatchObject({ demotionTarget: 1 });
});
