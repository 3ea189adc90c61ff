import { setTimeout as sleep } from 'node:timers/promises';
import { expect, it } from 'vitest';
import { eventually } from './eventually.ts';
import { counters } from './guest-memory.ts';
import { hotShareOf, mib, sampleNow, scenarios } from './scenarios.ts';
import type { Stage } from './stage.ts';

/** The share of hot memory that is kept fast. */
export function hotShareTests(stage: () => Stage): void {
  it('hotShare: half of the hot memory goes up, the rest stays, until all is wanted', async () => {
    await stage().place(scenarios.room);
    const { api } = await stage().startTierd({ hotShare: 0.5 });
    const share = () => hotShareOf(sampleNow(stage().workloads));
    await stage().explain(async () => {
      await eventually('about half of the hot memory is fast', 60_000, () => share() >= 0.35);
      await sleep(15_000);
      const settled = share();
      const before = await counters(stage().guest);
      await sleep(15_000);
      const moved = (await counters(stage().guest)).migratedBytes - before.migratedBytes;
      console.log(
        `${stage().guest.kernel} hotShare 0.5: ${settled.toFixed(3)} of the hot memory is fast, then ${(moved / mib).toFixed(1)} MiB moved in 15 s`,
      );
      expect(settled).toBeGreaterThan(0.35);
      expect(settled).toBeLessThan(0.65);
      expect(moved).toBeLessThanOrEqual(20 * mib);
      await api.patchPolicy({ hotShare: 1 });
      await eventually('all of it is fast', 60_000, () => share() >= 0.95);
    });
  });
}
