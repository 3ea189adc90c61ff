import { expect, test } from 'vitest';
import type { TieringEvent } from '../../../../tiering/events/event.ts';
import type { DecisionModes } from '../../../../tiering/loop/decision-log.ts';
import { tellDecisions } from '../../../../tiering/loop/decision-log.ts';
import { ANY_REGION } from '../any-region.ts';

test('a decision is told when it turns something on or off, reaches further or goes elsewhere, not when only its budget changes', () => {
  const told: TieringEvent[] = [];
  let modes: DecisionModes = new Map();
  const record = (budgetBytes: number, reason: string, targetNodeId = 0) => {
    const decided = tellDecisions(modes, [
      { nodeId: 1, promotion: { budgetBytes, bounds: ANY_REGION, targetNodeId, reason } },
    ]);
    modes = decided.modes;
    for (const effect of decided.effects) if (effect.type === 'tell') told.push(effect.event);
  };
  record(0, 'nothing hot waits');
  record(2 ** 26, '64 MiB hot wait');
  record(2 ** 25, '32 MiB hot wait');
  record(2 ** 24, '16 MiB hot wait', 2);
  record(0, 'nothing hot waits', 2);
  record(0, 'nothing hot waits');
  const direction = { type: 'decision', nodeId: 1, direction: 'promotion', targetNodeId: 0 };
  const message = 'promotion node 1 -> 0: off -> on, 64 MiB a pass: 64 MiB hot wait';
  expect(told).toEqual([
    { ...direction, budgetBytes: 2 ** 26, message },
    {
      ...direction,
      targetNodeId: 2,
      budgetBytes: 2 ** 24,
      message: 'promotion node 1 -> 2: on to 0 -> on, 16 MiB a pass: 16 MiB hot wait',
    },
    {
      ...direction,
      targetNodeId: 2,
      budgetBytes: 0,
      message: 'promotion node 1 -> 2: on -> off, 0 MiB a pass: nothing hot waits',
    },
  ]);
});
