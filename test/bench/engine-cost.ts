import type { EngineName } from '../../tiering/engine.ts';
import { ENGINE_NAMES } from '../../tiering/engine.ts';
import type { Progress } from '../guest/progress.ts';
import type { Scenario } from '../guest/scenarios.ts';
import { formatMeasurement, measure } from '../guest/scenarios.ts';
import type { Stage } from '../guest/stage.ts';
import { cpuOf, kdamondPids } from './guest-cpu.ts';
import { middleOf } from './middle.ts';
import type { EngineCostResult } from './results.ts';

const REPEATS = 3;
const UNTIL_HOT_SHARE = 0.99;
const TIMEOUT_MS = 85_000;
const WATCH_MS = 3_000;

/** What one run of a scenario under one engine took. */
export interface EngineRun {
  readonly secondsTo99: number | null;
  readonly migratedBytes: number;
  /** From when it was ready until a little after the last hot page had moved, monitoring included. */
  readonly daemonCpuSeconds: number;
  readonly kdamondCpuSeconds: number;
}

/** CPU time of both engines for a scenario, in turns in the same guest. */
export async function compareEngines(
  stage: Stage,
  scenario: Scenario,
  progress: Progress,
): Promise<readonly EngineCostResult[]> {
  const runs = new Map<EngineName, EngineRun[]>(ENGINE_NAMES.map((engine) => [engine, []]));
  for (let repeat = 0; repeat < REPEATS; repeat++) {
    for (const engine of repeat % 2 === 0 ? ENGINE_NAMES : ENGINE_NAMES.toReversed()) {
      const run = await runOnce(stage, scenario, engine, progress);
      runs.get(engine)?.push(run);
    }
  }
  return ENGINE_NAMES.map((engine) => engineCost(stage.guest.kernel, scenario.name, engine, runs.get(engine) ?? []));
}

async function runOnce(stage: Stage, scenario: Scenario, engine: EngineName, progress: Progress): Promise<EngineRun> {
  const { guest } = stage;
  try {
    await stage.place(scenario);
    let pids: readonly string[] = [];
    let before = await cpuOf(guest, pids);
    const start = async (): Promise<number> => {
      const tierd = await stage.startTierd({ engine });
      pids = [String(tierd.pid), ...(await kdamondPids(guest))];
      before = await cpuOf(guest, pids);
      return tierd.readyTime;
    };
    const options = { untilHotShare: UNTIL_HOT_SHARE, timeoutMs: TIMEOUT_MS, watchMs: WATCH_MS };
    const measured = await measure(guest, scenario, stage.workloads, start, options);
    const after = await cpuOf(guest, pids);
    const [daemonCpuSeconds = 0, ...kdamonds] = after.times.map(
      ({ user, system }, index) =>
        user + system - (before.times[index]?.user ?? 0) - (before.times[index]?.system ?? 0),
    );
    const kdamondCpuSeconds = kdamonds.reduce((sum, seconds) => sum + seconds, 0);
    const run = {
      secondsTo99: measured.secondsTo[99],
      migratedBytes: measured.migratedBytes,
      daemonCpuSeconds,
      kdamondCpuSeconds,
    };
    progress(
      `${guest.kernel} ${engine}: ${formatMeasurement(measured)}; CPU ${daemonCpuSeconds.toFixed(1)} s daemon, ${kdamondCpuSeconds.toFixed(1)} s kdamonds`,
    );
    return run;
  } finally {
    if (guest.running) await stage.clear();
  }
}

/** Medians over the runs, each figure by itself. */
export function engineCost(
  kernel: string,
  scenario: string,
  engine: EngineName,
  runs: readonly EngineRun[],
): EngineCostResult {
  const gib = (bytes: number): number => bytes / 2 ** 30;
  const secondsTo99 = middleOf(runs.map((run) => run.secondsTo99 ?? Number.POSITIVE_INFINITY));
  return {
    kernel,
    scenario,
    engine,
    runs: runs.length,
    secondsTo99: Number.isFinite(secondsTo99) ? secondsTo99 : null,
    migratedBytes: middleOf(runs.map(({ migratedBytes }) => migratedBytes)),
    daemonCpuSecondsPerGib: middleOf(runs.map((run) => run.daemonCpuSeconds / gib(run.migratedBytes))),
    kdamondCpuSecondsPerGib: middleOf(runs.map((run) => run.kdamondCpuSeconds / gib(run.migratedBytes))),
    cpuSecondsPerGib: middleOf(
      runs.map((run) => (run.daemonCpuSeconds + run.kdamondCpuSeconds) / gib(run.migratedBytes)),
    ),
  };
}
