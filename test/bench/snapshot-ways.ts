import type { Guest } from '../guest/guest.ts';
import type { Progress } from '../guest/progress.ts';
import { middleOf } from './middle.ts';
import type { SnapshotWayResult } from './results.ts';

/** One window of time of in-guest/snapshot-work.ts. */
export interface SnapshotWindow {
  readonly way: 'nothing' | SnapshotWayResult['way'];
  readonly seconds: number;
  readonly nodeCpuSeconds: number;
  readonly kdamondCpuSeconds: number;
  readonly taken: readonly { readonly regions: number; readonly wallMs: number }[];
}

const WAYS = ['tried_regions', 'trace'] as const;

/** An emulated CPU cannot look at ten thousand regions as often as at a thousand. */
const SIZES = [
  { regions: 1_000, samplingMs: 50, aggregationMs: 500 },
  { regions: 10_000, samplingMs: 200, aggregationMs: 2_000 },
];

/** Whole snapshots by the files of tried_regions and by the trace, in turns in the same guest, which is otherwise idle. */
export async function compareSnapshotWays(guest: Guest, progress: Progress): Promise<readonly SnapshotWayResult[]> {
  const results: SnapshotWayResult[] = [];
  for (const { regions, samplingMs, aggregationMs } of SIZES) {
    progress(`${guest.kernel}: snapshots of ${regions} regions by tried_regions and by the trace`);
    const command = `node /opt/tierd/snapshot-work.js ${regions} ${samplingMs} ${aggregationMs}`;
    const windows = windowsOf(await guest.check(command, { timeoutMs: 280_000 }));
    results.push(...WAYS.map((way) => snapshotWay(guest.kernel, aggregationMs, way, windows)));
  }
  return results;
}

/** Medians over the windows, less what runs without snapshots. */
export function snapshotWay(
  kernel: string,
  aggregationIntervalMs: number,
  way: SnapshotWayResult['way'],
  windows: readonly SnapshotWindow[],
): SnapshotWayResult {
  const idle = windows.filter((window) => window.way === 'nothing');
  const taken = windows.filter((window) => window.way === way);
  const perSnapshotMs = (cpuSeconds: (window: SnapshotWindow) => number): number => {
    const idleShare = middleOf(idle.map((window) => cpuSeconds(window) / window.seconds));
    return middleOf(
      taken.map((window) => ((cpuSeconds(window) - idleShare * window.seconds) * 1000) / window.taken.length),
    );
  };
  const snapshots = taken.flatMap((window) => window.taken);
  return {
    kernel,
    way,
    aggregationIntervalMs,
    snapshots: snapshots.length,
    regions: middleOf(snapshots.map(({ regions }) => regions)),
    wallMs: middleOf(snapshots.map(({ wallMs }) => wallMs)),
    nodeCpuMs: perSnapshotMs(({ nodeCpuSeconds }) => nodeCpuSeconds),
    kdamondCpuMs: perSnapshotMs(({ kdamondCpuSeconds }) => kdamondCpuSeconds),
  };
}

/** A line of JSON a window. */
export function windowsOf(text: string): readonly SnapshotWindow[] {
  return text
    .split('\n')
    .filter((line) => line.startsWith('{'))
    .map((line): SnapshotWindow => JSON.parse(line));
}
