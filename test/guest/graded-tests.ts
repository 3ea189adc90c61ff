import { setTimeout as sleep } from 'node:timers/promises';
import { expect, test } from 'vitest';
import type { GradedMeasurement } from './graded-scenarios.ts';
import { formatGraded, gradedScenarios, secondsToShare } from './graded-scenarios.ts';
import { counters, nodeMemory } from './guest-memory.ts';
import { fastNode, mib, scenarios } from './scenarios.ts';
import type { Stage } from './stage.ts';
import type { Workload } from './workload/workload.ts';

type GradedTestName = keyof typeof gradedScenarios | 'scan';

export interface GradedTestOptions {
  /** Names the kernel and the engine in what is printed. */
  readonly label: string;
  /** What the daemon's configuration file has. */
  readonly config?: object;
  /** Default: all. */
  readonly only?: readonly GradedTestName[];
}

/** Accesses that an emulated machine must manage, of the 50,000 a second: with fewer, heat is another. */
const leastAccessesPerSecond = 35_000;

/** What tierd promises on memory of every degree of heat, with either engine. */
export function gradedTests(stage: () => Stage, { label, config = {}, only }: GradedTestOptions): void {
  const start = () => stage().startTierd(config);
  const it = (title: `${GradedTestName}: ${string}`, body: () => Promise<void>): void => {
    if (only?.some((name) => title.startsWith(`${name}:`)) !== false) test(title, body, 900_000);
  };
  const tell = (measured: GradedMeasurement, ...aims: readonly number[]): void => {
    console.log(`${label} ${formatGraded(measured, aims)}`);
  };

  it('graded-room: memory of every heat goes up while there is room', async () => {
    const measured = await stage().playGraded(gradedScenarios['graded-room'], { seconds: 75 }, start);
    tell(measured, 0.9, 0.98);
    await stage().explain(() => {
      expect(measured.accessesPerSecond).toBeGreaterThanOrEqual(leastAccessesPerSecond);
      expect(measured.possibleShare).toBe(1);
      expectWithin(15, measured, 0.9);
      expectWithin(60, measured, 0.98);
      expect(measured.migratedBytes).toBeLessThanOrEqual(1.3 * measured.leastBytes);
      expect(measured.memoryFailures).toEqual([]);
    });
  });

  it('graded-full: the hottest takes the place of the colder, again when heat changes, and then nothing moves', async () => {
    const scenario = gradedScenarios['graded-full'];
    const first = await stage().playGraded(scenario, { seconds: 120, untilPart: 0.95 }, start);
    tell(first, 0.95 * first.possibleShare);
    const second = await stage().playRedrawn(scenario, { seconds: 120 });
    tell(second, 0.95 * second.possibleShare);
    const moved = await movedInAMinute(stage());
    const { totalBytes } = await nodeMemory(stage().guest, fastNode);
    console.log(`${label} graded-full: then ${(moved / mib).toFixed(1)} MiB moved in a minute`);
    await stage().explain(() => {
      for (const measured of [first, second]) {
        expect(measured.accessesPerSecond).toBeGreaterThanOrEqual(leastAccessesPerSecond);
        expectWithin(120, measured, 0.95 * measured.possibleShare);
        expect(measured.migratedBytes).toBeLessThanOrEqual(1.3 * measured.leastBytes);
        expect(measured.memoryFailures).toEqual([]);
      }
      expect(moved).toBeLessThanOrEqual(0.01 * totalBytes);
    });
  });

  it('graded-mixed: hot pages among cold ones go up, page by page', async () => {
    const measured = await stage().playGraded(gradedScenarios['graded-mixed'], { seconds: 120 }, start);
    tell(measured, 0.92 * measured.possibleShare);
    await stage().explain(() => {
      expect(measured.accessesPerSecond).toBeGreaterThanOrEqual(leastAccessesPerSecond);
      expectWithin(120, measured, 0.92 * measured.possibleShare);
      expect(measured.migratedBytes).toBeLessThanOrEqual(1.5 * measured.leastBytes);
      expect(measured.memoryFailures).toEqual([]);
    });
  });

  it('scan: what is read once does not push out what is hot', async () => {
    const [hot, scanned] = await stage().place(scenarios.scan);
    if (hot === undefined || scanned === undefined) throw new Error('the scenario has no hot and no scanned memory');
    await start();
    await sleep(20_000);
    const before = { hot: hot.latest, scanned: scanned.latest };
    const migratedBefore = (await counters(stage().guest)).migratedBytes;
    await scanned.scan();
    await sleep(60_000);
    const migrated = (await counters(stage().guest)).migratedBytes - migratedBefore;

    const hotStayed = extreme(Math.min, hot, before.hot.time, 'hotBytes') / (before.hot.hotBytes.get(fastNode) ?? 0);
    const wentUp =
      extreme(Math.max, scanned, before.scanned.time, 'coldBytes') - (before.scanned.coldBytes.get(fastNode) ?? 0);
    console.log(
      `${label} scan: ${hotStayed.toFixed(4)} of the hot memory stayed at every time, ${(wentUp / mib).toFixed(1)} MiB of ${Math.round(before.scanned.coldSize / mib)} that were scanned went up; ` +
        `migrated ${Math.round(migrated / mib)} MiB`,
    );
    await stage().explain(() => {
      expect(before.hot.hotBytes.get(fastNode)).toBeGreaterThanOrEqual(0.99 * before.hot.hotSize);
      expect(hotStayed).toBeGreaterThanOrEqual(0.99);
      expect(wentUp).toBeLessThanOrEqual(0.05 * before.scanned.coldSize);
    });
  });
}

function expectWithin(seconds: number, measured: GradedMeasurement, share: number): void {
  const reached = secondsToShare(measured, share);
  expect(reached, `seconds until fast served ${share.toFixed(3)} of the accesses`).not.toBeNull();
  expect(reached, `seconds until fast served ${share.toFixed(3)} of the accesses`).toBeLessThanOrEqual(seconds);
}

/** The least or the most bytes of a workload that were on the fast node since then. */
function extreme(
  pick: (...bytes: number[]) => number,
  workload: Workload,
  since: number,
  key: 'hotBytes' | 'coldBytes',
): number {
  return pick(...workload.reports.filter(({ time }) => time >= since).map((report) => report[key].get(fastNode) ?? 0));
}

async function movedInAMinute(stage: Stage): Promise<number> {
  const before = await counters(stage.guest);
  await sleep(60_000);
  return (await counters(stage.guest)).migratedBytes - before.migratedBytes;
}
