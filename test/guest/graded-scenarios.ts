import { DEFAULT_POLICY } from '../../tiering/policy.ts';
import { keepFreeBytes } from '../../tiering/tuner/headroom.ts';
import type { Guest } from './guest.ts';
import type { NodeMemory } from './guest-memory.ts';
import { counters, FreeMemoryWatch, memoryFailures, nodeMemory } from './guest-memory.ts';
import { fastNode, mib, slowNode } from './scenarios.ts';
import type { GradedOptions, GradedReport, GradedWorkload, Hottest } from './workload/graded.ts';

/** Memory of graded heat, and where it lies before anything tiers it. */
export interface GradedScenario extends GradedOptions {
  /** For a person. */
  readonly title: string;
}

const partlyFast = [
  { mib: 560, node: fastNode },
  { mib: 840, node: slowNode },
];

/** Graded heat, for tests and for the benchmark. */
export const gradedScenarios = {
  'graded-room': {
    name: 'graded-room',
    title: '600 MiB, Zipf 0.99 over blocks of 2 MiB, all on slow; fast is empty',
    memory: [{ mib: 600, node: slowNode }],
    seed: 1,
  },
  'graded-full': {
    name: 'graded-full',
    title: '1,400 MiB, Zipf 0.99 over blocks of 2 MiB, 560 MiB of it on fast',
    memory: partlyFast,
    seed: 3,
  },
  'graded-mixed': {
    name: 'graded-mixed',
    title: '1,400 MiB, Zipf 0.99 from page to page, 560 MiB of it on fast',
    memory: partlyFast,
    blockKib: 4,
    seed: 1,
  },
} satisfies Record<string, GradedScenario>;

/** Share of the accesses that a node serves when it holds the hottest so many bytes. */
export function possibleShare(hottest: Hottest, sizeBytes: number, capacityBytes: number): number {
  return at(hottest.shares, capacityBytes / sizeBytes);
}

/**
 * The fewest bytes to migrate until the fast node holds the hottest `capacityBytes`: those of them that lie elsewhere must come up, and others go
 * down for what does not fit into its room.
 */
export function leastGradedBytes(
  hottest: Hottest,
  { sizeBytes, capacityBytes, roomBytes }: { sizeBytes: number; capacityBytes: number; roomBytes: number },
): number {
  const share = capacityBytes / sizeBytes;
  const up = [...hottest.bytes]
    .filter(([node]) => node !== fastNode)
    .reduce((sum, [, bytes]) => sum + at(bytes, share), 0);
  return up + Math.max(0, up - Math.max(0, roomBytes));
}

/** Between the points of a table from 0 to 1. */
function at(table: readonly number[], share: number): number {
  const place = Math.min(1, Math.max(0, share)) * (table.length - 1);
  const low = table[Math.floor(place)] ?? Number.NaN;
  const high = table[Math.ceil(place)] ?? Number.NaN;
  return low + (high - low) * (place - Math.floor(place));
}

interface GradedPoint {
  /** Since tiering was at work, or since the ranking was drawn anew. */
  readonly seconds: number;
  /** Of the accesses, served by the fast node. */
  readonly share: number;
  readonly fastBytes: number;
}

/** What came of graded heat. */
export interface GradedMeasurement {
  readonly scenario: string;
  readonly points: readonly GradedPoint[];
  readonly startShare: number;
  readonly endShare: number;
  /** With the hottest memory on the fast node, as much as fits above what must be kept free there. */
  readonly possibleShare: number;
  readonly migratedBytes: number;
  readonly leastBytes: number;
  /** Median over the reports. */
  readonly accessesPerSecond: number;
  readonly memoryFailures: readonly string[];
}

export interface GradedMeasureOptions {
  /** How long is measured ... */
  readonly seconds: number;
  /** ... unless this part of the possible share is reached before; */
  readonly untilPart?: number;
  /** and then for so long, to see what else moves. Default 15 s. */
  readonly watchSeconds?: number;
}

/**
 * Measures what a tiering of any kind makes of graded heat that is in place. `startTiering` starts it and gives the time, by the guest's
 * clock, from which on it is at work.
 */
export async function measureGraded(
  guest: Guest,
  scenario: GradedScenario,
  workload: GradedWorkload,
  startTiering: () => Promise<number>,
  options: GradedMeasureOptions,
): Promise<GradedMeasurement> {
  const fast = await nodeMemory(guest, fastNode);
  const begin = await beginning(guest);
  const watch = FreeMemoryWatch.start(guest, fastNode);
  const since = await startTiering();
  const freeBytes = await watch.freeBytesAt(since);
  await watch.stop();
  const ready = workload.reports.find(({ event }) => event === 'ready');
  return follow(guest, scenario.name, workload, options, { ...begin, since, ready, fast: { ...fast, freeBytes } });
}

/** Draws the ranking anew, and measures what the tiering that is at work makes of it. */
export async function measureRedrawn(
  guest: Guest,
  scenario: GradedScenario,
  workload: GradedWorkload,
  options: GradedMeasureOptions,
): Promise<GradedMeasurement> {
  const begin = await beginning(guest);
  const fast = await nodeMemory(guest, fastNode);
  const ready = await workload.redraw();
  return follow(guest, `${scenario.name} drawn anew`, workload, options, { ...begin, since: ready.time, ready, fast });
}

/** An emulated machine stalls at times, but not for so long. */
const reportTimeoutMs = 60_000;

interface Beginning {
  readonly since: number;
  /** Tells what is hottest. */
  readonly ready: GradedReport | undefined;
  readonly fast: NodeMemory;
  readonly migratedBytes: number;
  readonly failures: number;
}

async function beginning(guest: Guest): Promise<Pick<Beginning, 'migratedBytes' | 'failures'>> {
  const { migratedBytes } = await counters(guest);
  return { migratedBytes, failures: (await memoryFailures(guest)).length };
}

async function follow(
  guest: Guest,
  name: string,
  workload: GradedWorkload,
  { seconds, untilPart = Number.POSITIVE_INFINITY, watchSeconds = 15 }: GradedMeasureOptions,
  { since, ready, fast, migratedBytes, failures }: Beginning,
): Promise<GradedMeasurement> {
  if (ready?.hottest === undefined) throw new Error('the workload has not told what is hottest');
  const roomBytes = fast.freeBytes - keepFreeBytes(fast, true, DEFAULT_POLICY);
  const fastBytes = ready.bytes.get(fastNode) ?? 0;
  const capacityBytes = Math.min(ready.sizeBytes, Math.max(0, fastBytes + roomBytes));
  const possible = possibleShare(ready.hottest, ready.sizeBytes, capacityBytes);

  const points: GradedPoint[] = [];
  const rates: number[] = [];
  let last = workload.reports.findLast(({ time }) => time <= since) ?? ready;
  for (let until = seconds; last.time - since < until; ) {
    const seen = last.elapsed;
    last = await workload.waitFor(({ elapsed }) => elapsed > seen, reportTimeoutMs);
    const point = pointOf(last, since);
    points.push(point);
    rates.push(last.accessesPerSecond);
    if (point.share >= untilPart * possible) until = Math.min(until, point.seconds + watchSeconds);
  }

  return {
    scenario: name,
    points,
    startShare: ready.shares.get(fastNode) ?? 0,
    endShare: points.at(-1)?.share ?? 0,
    possibleShare: possible,
    migratedBytes: (await counters(guest)).migratedBytes - migratedBytes,
    leastBytes: leastGradedBytes(ready.hottest, { sizeBytes: ready.sizeBytes, capacityBytes, roomBytes }),
    accessesPerSecond: rates.toSorted((a, b) => a - b)[Math.floor(rates.length / 2)] ?? 0,
    memoryFailures: (await memoryFailures(guest)).slice(failures),
  };
}

function pointOf(report: GradedReport, since: number): GradedPoint {
  return {
    seconds: Math.max(0, Math.round((report.time - since) * 10) / 10),
    share: report.shares.get(fastNode) ?? 0,
    fastBytes: report.bytes.get(fastNode) ?? 0,
  };
}

/** Seconds until the fast node served this share of the accesses; null: never. */
export function secondsToShare({ points }: GradedMeasurement, share: number): number | null {
  return points.find((point) => point.share >= share)?.seconds ?? null;
}

/** The share then; the last one when it was not measured for so long. */
export function shareAfter({ points, endShare }: GradedMeasurement, seconds: number): number {
  return points.find((point) => point.seconds >= seconds - 0.5)?.share ?? endShare;
}

/** A measurement in one line; `aims` are shares whose time is told. */
export function formatGraded(measured: GradedMeasurement, aims: readonly number[]): string {
  const { points, startShare, endShare, migratedBytes, leastBytes } = measured;
  const lasted = points.at(-1)?.seconds ?? 0;
  const after = [15, 30, 60, 90, 120]
    .filter((seconds) => seconds <= lasted)
    .map((seconds) => `${seconds} s ${shareAfter(measured, seconds).toFixed(3)}`);
  const reached = aims.map((aim) => {
    const seconds = secondsToShare(measured, aim);
    return `${aim.toFixed(3)} ${seconds === null ? 'never' : `after ${seconds.toFixed(1)} s`}`;
  });
  return (
    `${measured.scenario}: share of accesses served by fast: start ${startShare.toFixed(3)}, ${after.join(', ')}, end ${endShare.toFixed(3)}; ` +
    `possible ${measured.possibleShare.toFixed(3)}; ${reached.join(', ')}; migrated ${Math.round(migratedBytes / mib)} MiB` +
    `${leastBytes === 0 ? '' : ` = ${(migratedBytes / leastBytes).toFixed(2)} x least ${Math.round(leastBytes / mib)}`}; ` +
    `${Math.round(measured.accessesPerSecond)} accesses a second`
  );
}
