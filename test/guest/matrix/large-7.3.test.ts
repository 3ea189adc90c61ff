import { expect, test } from 'vitest';
import { scenarios } from '../scenarios.ts';
import { onTwoNodes } from '../two-nodes.ts';

onTwoNodes(
  'tierd on 7.3 with 14 GiB of DRAM',
  '7.3',
  (stage) => {
    test('full: makes room for hot memory without a failed allocation', async () => {
      const start = async () => (await stage().launchTierd()).waitForReady(300_000);
      const measured = await stage().play(scenarios.fullLarge, { untilHotShare: 0.9, timeoutMs: 150_000 }, start);
      await stage().explain(() => {
        expect(measured.secondsTo[90]).not.toBeNull();
        expect(measured.migratedBytes).toBeLessThanOrEqual(1.3 * measured.leastBytes);
        expect(measured.oomKills).toBe(0);
        expect(measured.memoryFailures).toEqual([]);
      });
    }, 1_200_000);
  },
  'numa2-large',
);
