import { setTimeout as sleep } from 'node:timers/promises';
import { expect, test } from 'vitest';
import { DEFAULT_POLICY } from '../../tiering/policy.ts';
import { keepFreeBytes } from '../../tiering/tuner/headroom.ts';
import { eventually } from './eventually.ts';
import type { Guest } from './guest.ts';
import { counters, FreeMemoryWatch, nodeMemory } from './guest-memory.ts';
import { fastNode, hotShareOf, mib, sampleNow, scenarios } from './scenarios.ts';
import type { Stage } from './stage.ts';

/** Guests are slow and noisy: waits are twice as long as what the daemon promises. */
const patience = 2;

/** At most so many times the bytes that had to move. */
const mostMigrated = 1.3;

type ScenarioName = keyof typeof scenarios;

export interface ScenarioOptions {
  /** Names the kernel and the engine in what is printed. */
  readonly label: string;
  /** What the daemon's configuration file has. */
  readonly config?: object;
  /** Default: all. */
  readonly only?: readonly ScenarioName[];
}

/** What tierd promises on each of the workloads, with either engine. */
export function scenarioTests(stage: () => Stage, { label, config = {}, only }: ScenarioOptions): void {
  const start = () => stage().startTierd(config);
  const it = (title: `${ScenarioName}: ${string}`, body: () => Promise<void>, timeoutMs?: number): void => {
    if (only?.some((name) => title.startsWith(`${name}:`)) !== false) test(title, body, timeoutMs);
  };

  it('room: promotes hot memory and leaves cold memory alone', async () => {
    const measured = await stage().play(scenarios.room, { untilHotShare: 0.95, timeoutMs: patience * 15_000 }, start);
    await stage().explain(() => {
      expect(measured.secondsTo[95]).toBeLessThanOrEqual(patience * 15);
      expect(measured.secondsTo[95]).not.toBeNull();
      expect(measured.coldStayedShare).toBeGreaterThanOrEqual(0.98);
      expect(measured.leastBytes).toBe(200 * mib);
      expect(measured.migratedBytes).toBeLessThanOrEqual(mostMigrated * measured.leastBytes);
    });
  });

  it('full: makes room for hot memory without a failed allocation', async () => {
    const measured = await stage().play(scenarios.full, { untilHotShare: 0.9, timeoutMs: patience * 40_000 }, start);
    await stage().explain(() => {
      expect(measured.secondsTo[90]).not.toBeNull();
      expect(measured.secondsTo[90]).toBeLessThanOrEqual(patience * 40);
      expect(measured.migratedBytes).toBeLessThanOrEqual(mostMigrated * measured.leastBytes);
      expect(measured.oomKills).toBe(0);
      expect(measured.memoryFailures).toEqual([]);
    });
  });

  it('many: serves several processes', async () => {
    const measured = await stage().play(scenarios.many, { untilHotShare: 0.95, timeoutMs: patience * 25_000 }, start);
    await stage().explain(() => {
      expect(measured.secondsTo[95]).not.toBeNull();
      expect(measured.secondsTo[95]).toBeLessThanOrEqual(patience * 25);
      expect(measured.migratedBytes).toBeLessThanOrEqual(mostMigrated * measured.leastBytes);
    });
  });

  it('shift: follows when hot and cold memory swap roles', async () => {
    const measured = await stage().play(
      scenarios.shift,
      { untilHotShare: 0.9, timeoutMs: patience * 60_000, watchMs: 1_000 },
      start,
    );
    await stage().explain(() => {
      expect(measured.secondsTo[90]).not.toBeNull();
      expect(measured.secondsTo[90]).toBeLessThanOrEqual(patience * 60);
      expect(measured.memoryFailures).toEqual([]);
    });
  });

  it('overcommit: fills the fast node with hot memory and then rests', async () => {
    await stage().place(scenarios.overcommit);
    const watch = FreeMemoryWatch.start(stage().guest, fastNode);
    const { readyTime } = await stage().startTierd(config);
    const freeAtStart = await watch.freeBytesAt(readyTime);
    await watch.stop();
    const start = sampleNow(stage().workloads);
    const quietAfter = await untilQuiet(stage().guest, 180_000);
    const before = await counters(stage().guest);
    await sleep(60_000);
    const moved = (await counters(stage().guest)).migratedBytes - before.migratedBytes;
    const node = await nodeMemory(stage().guest, fastNode);
    const end = sampleNow(stage().workloads);
    const keepFree = keepFreeBytes(node, true, DEFAULT_POLICY);
    // All that the workloads and the free memory above what is kept free make up: the rest is the system's.
    const fits = freeAtStart - keepFree + start.hotFastBytes + start.coldFastBytes;
    console.log(
      `${label} overcommit: quiet after ${quietAfter} s; then ${(moved / mib).toFixed(1)} MiB moved in 60 s; used ${(1 - node.freeBytes / node.totalBytes).toFixed(3)}, target ${(1 - keepFree / node.totalBytes).toFixed(3)}; ` +
        `hot on fast ${Math.round(end.hotFastBytes / mib)} MiB of ${Math.round(fits / mib)} that fit, cold ${Math.round(end.coldFastBytes / mib)} MiB`,
    );
    await stage().explain(() => {
      expect(moved).toBeLessThanOrEqual(0.01 * node.totalBytes);
      expect(1 - node.freeBytes / node.totalBytes).toBeGreaterThanOrEqual(1 - keepFree / node.totalBytes - 0.03);
      expect(end.hotFastBytes).toBeGreaterThanOrEqual(0.9 * fits);
    });
  }, 900_000);

  it('target: follows the utilization asked for, coldest first', async () => {
    await stage().place(scenarios.target);
    const { api } = await stage().startTierd(config);
    const usedShare = async (): Promise<number> => {
      const { freeBytes, totalBytes } = await nodeMemory(stage().guest, fastNode);
      return 1 - freeBytes / totalBytes;
    };
    const begun = sampleNow(stage().workloads);
    expect(await usedShare()).toBeGreaterThan(0.7);
    let last = Date.now();
    const lap = (what: string): void => {
      console.log(`${label} target: ${what} after ${((Date.now() - last) / 1000).toFixed(1)} s`);
    };
    await stage().explain(async () => {
      await api.patchPolicy({ fastUtilization: 0.6 });
      last = Date.now();
      const near = (share: number): boolean => share >= 0.55 && share <= 0.65;
      await eventually('0.55 to 0.65 of fast is used', patience * 60_000, async () => near(await usedShare()));
      lap('0.60 is reached');
      for (let look = 0; look < 15; look++) {
        expect(await usedShare()).toSatisfy(near, `from 0.55 to 0.65 at look ${look}`);
        await sleep(1_000);
      }
      const at60 = sampleNow(stage().workloads);
      const hotLeft = begun.hotFastBytes - at60.hotFastBytes;
      const coldLeft = begun.coldFastBytes - at60.coldFastBytes;
      console.log(`${label} target: ${Math.round(coldLeft / mib)} MiB cold left, ${Math.round(hotLeft / mib)} MiB hot`);
      expect(coldLeft / (coldLeft + hotLeft)).toBeGreaterThanOrEqual(0.95);

      await api.patchPolicy({ fastUtilization: 0.15 });
      last = Date.now();
      await eventually(
        'hot memory leaves too',
        patience * 60_000,
        () => hotShareOf(sampleNow(stage().workloads)) <= 0.5,
      );
      lap(`hot has left, ${(await usedShare()).toFixed(2)} is used`);

      await api.patchPolicy({ fastUtilization: 0.95 });
      last = Date.now();
      // Memory was leaving until now, and reports come once a second.
      await sleep(2_500);
      const coldBefore = sampleNow(stage().workloads).coldFastBytes;
      await eventually('hot memory is back', patience * 40_000, () => hotShareOf(sampleNow(stage().workloads)) >= 0.99);
      lap('hot is back');
      await sleep(10_000);
      const end = sampleNow(stage().workloads);
      expect(hotShareOf(end)).toBeGreaterThanOrEqual(0.99);
      expect(Math.abs(end.coldFastBytes - coldBefore)).toBeLessThanOrEqual(0.02 * end.coldBytes);
    });
  }, 600_000);
}

/** Waits until hardly anything moves for a while; gives the seconds it took, or those it was given. */
async function untilQuiet(guest: Guest, timeoutMs: number): Promise<number> {
  const windowMs = 15_000;
  const started = Date.now();
  const seen: { readonly at: number; readonly bytes: number }[] = [];
  for (;;) {
    const now = Date.now();
    seen.push({ at: now, bytes: (await counters(guest)).migratedBytes });
    const first = seen.findLast(({ at }) => at <= now - windowMs);
    const moved = (seen.at(-1)?.bytes ?? 0) - (first?.bytes ?? 0);
    if ((first !== undefined && moved < 2 * mib) || now - started > timeoutMs)
      return Math.round((now - started) / 1000);
    await sleep(1_000);
  }
}
