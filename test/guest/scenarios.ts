import { setTimeout as sleep } from 'node:timers/promises';
import type { Policy } from '../../tiering/policy.ts';
import { DEFAULT_POLICY } from '../../tiering/policy.ts';
import { keepFreeBytes } from '../../tiering/tuner/headroom.ts';
import type { Guest } from './guest.ts';
import type { NodeMemory } from './guest-memory.ts';
import { counters, FreeMemoryWatch, memoryFailures, nodeMemory } from './guest-memory.ts';
import type { Workload, WorkloadOptions } from './workload/workload.ts';
import { startWorkload } from './workload/workload.ts';

export const mib = 1024 * 1024;

/** In the guests with two nodes. */
export const fastNode = 0;
export const slowNode = 1;

/** Where hot and cold memory lies before anything tiers it. */
export interface Scenario {
  readonly name: string;
  /** For a person. */
  readonly title: string;
  /** Processes; those that fill up a node are started last. */
  readonly processes: readonly WorkloadOptions[];
  /** Hot and cold memory of the first process swap roles when the daemon has had time to settle; what is measured begins there. */
  readonly swaps?: boolean;
}

const slow = (size: number) => [{ mib: size, node: slowNode }];
const fast = (size: number) => [{ mib: size, node: fastNode }];

/** The main job's scenarios, for tests and for the benchmark. */
export const scenarios = {
  room: {
    name: 'room',
    title: '200 MiB hot on slow, 400 MiB cold on fast, room to spare',
    processes: [{ name: 'room', hot: slow(200), cold: fast(400) }],
  },
  full: {
    name: 'full',
    title: '300 MiB hot on slow, cold memory fills fast but for 50 MiB',
    processes: [{ name: 'full', hot: slow(300), fillFreeBut: fast(50) }],
  },
  fullLarge: {
    name: 'fullLarge',
    title: '600 MiB hot on slow, cold memory fills a fast node of 14 GiB but for 600 MiB: more than the target allows',
    processes: [
      // As often as in `overcommit`, for the same reason.
      { name: 'large', hot: slow(600), rate: 8 },
      // To ask where all of it is takes seconds.
      { name: 'large-fill', fillFreeBut: fast(600), reportSeconds: 60 },
    ],
  },
  many: {
    name: 'many',
    title: 'four processes, (hot, cold) MiB: (225, 250) and (38, 62) on slow, (100, 400) and (4, 6) on fast',
    processes: [
      { name: 'many-1', hot: slow(225), cold: slow(250) },
      { name: 'many-2', hot: slow(38), cold: slow(62) },
      { name: 'many-3', hot: fast(100), cold: fast(400) },
      { name: 'many-4', hot: fast(4), cold: fast(6) },
    ],
  },
  shift: {
    name: 'shift',
    title: 'two buffers of 200 MiB swap roles, fast nearly full',
    processes: [
      { name: 'shift', hot: fast(200), cold: slow(200) },
      { name: 'shift-fill', fillFreeBut: fast(70) },
    ],
    swaps: true,
  },
  overcommit: {
    // 8 accesses a second are hot; 20 would keep both emulated CPUs busy, and what then gets no turn looks idle.
    name: 'overcommit',
    title: '600 MiB hot on slow, 500 MiB hot and 150 MiB cold on fast: more is hot than fast holds',
    processes: [
      { name: 'over-1', hot: slow(600), rate: 8 },
      { name: 'over-2', hot: fast(500), cold: fast(150), rate: 8 },
    ],
  },
  target: {
    name: 'target',
    title: '200 MiB hot and 450 MiB cold on fast',
    processes: [{ name: 'target', hot: fast(200), cold: fast(450) }],
  },
  scan: {
    name: 'scan',
    title: '400 MiB hot on fast, which cold memory fills; 800 MiB on slow are read once from end to end',
    processes: [
      { name: 'scan-hot', hot: fast(400) },
      { name: 'scan-read', cold: slow(800) },
      { name: 'scan-fill', fillFreeBut: fast(70) },
    ],
  },
} satisfies Record<string, Scenario>;

/** Starts a scenario's processes; resolves when all memory is where the scenario wants it. */
export async function place(guest: Guest, scenario: Scenario): Promise<Workload[]> {
  const workloads: Workload[] = [];
  try {
    // At the same time, but for what fills up a node, which must see the others' memory in place.
    const fills = scenario.processes.filter(({ fillFreeBut }) => fillFreeBut !== undefined);
    const others = scenario.processes.filter(({ fillFreeBut }) => fillFreeBut === undefined);
    const started = await Promise.allSettled(others.map((process) => startWorkload(guest, process)));
    for (const result of started) if (result.status === 'fulfilled') workloads.push(result.value);
    const failure = started.find((result) => result.status === 'rejected');
    if (failure !== undefined) throw failure.reason;
    for (const process of fills) workloads.push(await startWorkload(guest, process));
  } catch (error) {
    await Promise.allSettled(workloads.map((workload) => workload.stop()));
    throw error;
  }
  return workloads;
}

/** Where the memory of all processes together was at a moment. */
export interface Sample {
  /** Seconds since 1970, by the guest's clock. */
  readonly time: number;
  readonly hotBytes: number;
  readonly coldBytes: number;
  readonly hotFastBytes: number;
  readonly coldFastBytes: number;
}

/** The processes' reports as one row of moments: at each report, the newest of every process. */
export function samplesOf(workloads: readonly Workload[], since: number): readonly Sample[] {
  const reports = workloads
    .flatMap((workload, index) => workload.reports.map((report) => ({ index, report })))
    .sort((a, b) => a.report.time - b.report.time);
  const newest = new Map<number, Omit<Sample, 'time'>>();
  const samples: Sample[] = [];
  for (const { index, report } of reports) {
    newest.set(index, {
      hotBytes: report.hotSize,
      coldBytes: report.coldSize,
      hotFastBytes: report.hotBytes.get(fastNode) ?? 0,
      coldFastBytes: report.coldBytes.get(fastNode) ?? 0,
    });
    if (newest.size < workloads.length || report.time < since) continue;
    const total = (key: keyof Omit<Sample, 'time'>): number =>
      [...newest.values()].reduce((sum, part) => sum + part[key], 0);
    samples.push({
      time: report.time,
      hotBytes: total('hotBytes'),
      coldBytes: total('coldBytes'),
      hotFastBytes: total('hotFastBytes'),
      coldFastBytes: total('coldFastBytes'),
    });
  }
  return samples;
}

/** Where the memory is now. */
export function sampleNow(workloads: readonly Workload[]): Sample {
  const sample = samplesOf(workloads, 0).at(-1);
  if (sample === undefined) throw new Error('the workloads have not reported yet');
  return sample;
}

/** Share of the hot memory that is on the fast node. */
export function hotShareOf(sample: Sample): number {
  return sample.hotBytes === 0 ? 1 : sample.hotFastBytes / sample.hotBytes;
}

/**
 * The fewest bytes that can be migrated to bring all hot memory to the fast node: the hot bytes that are elsewhere, which
 * must come up, and as many others that must go down for them as do not fit above what the daemon must keep free there.
 *
 * `fast` is the node at the moment from which on is measured, when the daemon is ready: its own memory lies there already. Pages
 * of the system are not counted: some could be reclaimed, but nobody has to.
 */
function leastBytes(start: Sample, fast: NodeMemory, policy: Policy = DEFAULT_POLICY): number {
  const up = start.hotBytes - start.hotFastBytes;
  const room = fast.freeBytes - keepFreeBytes(fast, true, policy);
  return up + Math.max(0, up - room);
}

const shares = [50, 90, 95, 99] as const;

/** What came of a scenario. Times are seconds by the guest's clock since the daemon was ready, or since roles were swapped. */
export interface Measurement {
  readonly scenario: string;
  /** Until so many percent of the hot bytes were on the fast node; null: never. */
  readonly secondsTo: Readonly<Record<(typeof shares)[number], number | null>>;
  readonly hotShareEnd: number;
  /** The least share of the cold bytes that started on the fast node which was there at any time. */
  readonly coldStayedShare: number;
  readonly migratedBytes: number;
  readonly leastBytes: number;
  readonly oomKills: number;
  readonly allocationStalls: number;
  /** New lines of the kernel's log about memory that could not be had. */
  readonly memoryFailures: readonly string[];
  readonly seconds: number;
}

export interface MeasureOptions {
  /** Until this share of the hot bytes is on the fast node ... */
  readonly untilHotShare: number;
  /** ... or so much time has passed; */
  readonly timeoutMs: number;
  /** and then for so long, to see what else moves. Default 10 s. */
  readonly watchMs?: number;
  /** Before roles are swapped. Default 10 s. */
  readonly settleMs?: number;
}

/**
 * Measures what a tiering of any kind makes of workloads that are in place. `startTiering` starts it and gives the time, by the guest's
 * clock, from which on it is at work.
 */
export async function measure(
  guest: Guest,
  scenario: Scenario,
  workloads: readonly Workload[],
  startTiering: () => Promise<number>,
  options: MeasureOptions,
): Promise<Measurement> {
  const fast = await nodeMemory(guest, fastNode);
  const failuresBefore = (await memoryFailures(guest)).length;
  let before = await counters(guest);
  const watch = FreeMemoryWatch.start(guest, fastNode);
  let since = await startTiering();
  if (scenario.swaps === true) {
    await sleep(options.settleMs ?? 10_000);
    before = await counters(guest);
    const swapped = await workloads[0]?.swap();
    since = swapped?.time ?? since;
  }
  const freeBytes = await watch.freeBytesAt(since);
  await watch.stop();
  const start = firstSince(samplesOf(workloads, 0), since);
  const deadline = Date.now() + options.timeoutMs;
  while (hotShareOf(sampleNow(workloads)) < options.untilHotShare && Date.now() < deadline) await sleep(200);
  await sleep(options.watchMs ?? 10_000);

  const after = await counters(guest);
  const samples = samplesOf(workloads, since);
  const end = samples.at(-1) ?? start;
  const secondsTo = (percent: number): number | null => {
    const reached = samples.find((sample) => hotShareOf(sample) * 100 >= percent);
    return reached === undefined ? null : Math.max(0, Math.round((reached.time - since) * 10) / 10);
  };
  const coldAtLeast = Math.min(...samples.map(({ coldFastBytes }) => coldFastBytes));
  return {
    scenario: scenario.name,
    secondsTo: { 50: secondsTo(50), 90: secondsTo(90), 95: secondsTo(95), 99: secondsTo(99) },
    hotShareEnd: hotShareOf(end),
    coldStayedShare: start.coldFastBytes === 0 ? 1 : coldAtLeast / start.coldFastBytes,
    migratedBytes: after.migratedBytes - before.migratedBytes,
    leastBytes: leastBytes(start, { ...fast, freeBytes }),
    oomKills: after.oomKills - before.oomKills,
    allocationStalls: after.allocationStalls - before.allocationStalls,
    memoryFailures: (await memoryFailures(guest)).slice(failuresBefore),
    seconds: Math.round(end.time - since),
  };
}

/** The last sample before the tiering was at work, when there is one. */
function firstSince(samples: readonly Sample[], since: number): Sample {
  const before = samples.findLast(({ time }) => time <= since) ?? samples[0];
  if (before === undefined) throw new Error('the workloads have not reported yet');
  return before;
}

/** A measurement in one line. */
export function formatMeasurement(measured: Measurement): string {
  const { secondsTo, migratedBytes, leastBytes: least, hotShareEnd, coldStayedShare } = measured;
  const times = shares.map((percent) => `${percent} % ${secondsTo[percent] ?? 'never'}`).join(', ');
  const ratio = least === 0 ? '' : ` = ${(migratedBytes / least).toFixed(2)} x least`;
  return (
    `${measured.scenario}: seconds to ${times}; hot share ${hotShareEnd.toFixed(3)}, cold stayed ${coldStayedShare.toFixed(3)}; ` +
    `migrated ${Math.round(migratedBytes / mib)} MiB${ratio}; stalls ${measured.allocationStalls}, OOM kills ${measured.oomKills}`
  );
}
