import { expect, test } from 'vitest';
import { describe as describePart } from '../../../../tiering/move-pages/describe.ts';
import type { MigrationResult } from '../../../../tiering/move-pages/page-mover.ts';

const MIB = 2 ** 20;
const line = (result: Partial<MigrationResult>, cutBy?: string) =>
  describePart(
    {
      migration: {
        direction: 'demotion',
        fromNodeId: 0,
        toNodeId: 1,
        budgetBytes: 64 * MIB,
        ranges: [],
        looseFrom: 0,
      },
      result: { movedBytes: 16 * MIB, triedBytes: 17 * MIB, busyMs: 12.3, ...result },
    },
    cutBy,
  );

test('a line says how far an order was met, and why not further', () => {
  expect(line({})).toBe('demotion node 0 -> 1: moved 16.0 of 64.0 MiB, tried 17.0, in 12 ms');
  expect(line({ lookMs: 3, turnedHotBytes: 2 * MIB, shortfall: 'exhausted' })).toBe(
    'demotion node 0 -> 1: moved 16.0 of 64.0 MiB, tried 17.0, in 12 ms; looked for 3 ms; 2.0 MiB turned hot and stayed; no more there',
  );
  expect(line({ shortfall: 'cut' }, 'the next decision')).toMatch(/; cut short by the next decision$/);
  expect(line({ shortfall: 'full' })).toMatch(/; node 1 is full$/);
});
