import { setTimeout as sleep } from 'node:timers/promises';
import { expect, it } from 'vitest';
import { damonTree, effectiveBytes } from './damon-by-hand.ts';
import { eventually } from './eventually.ts';
import { counters } from './guest-memory.ts';
import { hotShareOf, mib, sampleNow, scenarios, slowNode } from './scenarios.ts';
import type { Stage } from './stage.ts';
import type { TierdProcess } from './tierd-in-guest.ts';

/** Of hot memory that is half fast, as DAMON and the workload see it. */
const isHalf = (share: number): boolean => share >= 0.4 && share <= 0.6;

/** The share of hot memory that is kept fast. */
export function hotShareTests(stage: () => Stage): void {
  it('hotShare: half of the hot memory goes up, the rest stays, until all is wanted', async () => {
    await stage().place(scenarios.room);
    const { api } = await stage().startTierd({ hotShare: 0.5 });
    const share = () => hotShareOf(sampleNow(stage().workloads));
    await stage().explain(async () => {
      let moved = Number.POSITIVE_INFINITY;
      await eventually('half of the hot memory is fast, and nothing moves any more', 120_000, async () => {
        if (!isHalf(share())) return false;
        const before = await counters(stage().guest);
        await sleep(10_000);
        moved = (await counters(stage().guest)).migratedBytes - before.migratedBytes;
        return isHalf(share()) && moved <= 4 * mib;
      });
      console.log(
        `${stage().guest.kernel} hotShare 0.5: ${share().toFixed(3)} of the hot memory is fast, and ${(moved / mib).toFixed(1)} MiB moved in 10 s`,
      );
      await api.patchPolicy({ hotShare: 1 });
      await eventually('all of it is fast', 60_000, () => share() >= 0.95);
    });
  });
}

/** The same where DAMON has a goal for it (node_eligible_mem_bp). */
export function hotShareGoalTests(stage: () => Stage): void {
  it("hotShare: the kernel keeps to it by itself while the daemon stands still, and the daemon's own loop mends the rest", async () => {
    const { guest } = stage();
    await stage().place({
      name: 'share',
      title: '',
      processes: [{ name: 'share', hot: [{ mib: 400, node: slowNode }] }],
    });
    // In small steps, so that an order of the daemon's is left standing.
    const tierd = await stage().startTierd({ hotShare: 0.5, promotion: { maxMiBPerSecond: 20 } });
    const share = () => hotShareOf(sampleNow(stage().workloads));
    await stage().explain(async () => {
      const slow = (await tierd.api.schemes()).kdamonds.find(({ nodeId }) => nodeId === slowNode);
      expect(slow?.schemes[0]?.quota.goal).toEqual({ metric: 'node_eligible_mem_bp', nodeId: 0, targetBp: 5500 });
      await eventually('promotion is under way', 60_000, () => share() >= 0.15);
      const { stopped, moved } = await whileStopped(tierd, async () => {
        await eventually(
          'the kernel lets nothing pass',
          60_000,
          async () => (await effectiveBytes(guest, slow?.index ?? -1)) === 0,
        );
        const stopped = share();
        const before = await counters(guest);
        await sleep(10_000);
        return { stopped, moved: (await counters(guest)).migratedBytes - before.migratedBytes };
      });
      await eventually('half of the hot memory is fast', 60_000, () => isHalf(share()));
      console.log(
        `${guest.kernel} hotShare 0.5: the kernel stops at ${stopped.toFixed(3)}, ${(moved / mib).toFixed(1)} MiB moved in the next 10 s; then ${share().toFixed(3)} with the daemon`,
      );
      expect(stopped).toBeLessThan(0.8);
      expect(moved).toBeLessThanOrEqual(40 * mib);
      await tierd.api.patchPolicy({ hotShare: 1 });
      expect((await damonTree(guest)).filter((line) => line.includes('target_metric'))).toEqual([]);
      await eventually('all of it is fast', 60_000, () => share() >= 0.95);
    });
  });
}

/** What is seen while the daemon stands still; it goes on then, whatever was seen. */
async function whileStopped<T>(tierd: TierdProcess, look: () => Promise<T>): Promise<T> {
  await tierd.signal('STOP');
  try {
    return await look();
  } finally {
    await tierd.signal('CONT');
  }
}
