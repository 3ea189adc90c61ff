import { closeSync, openSync, readdirSync, readFileSync, readSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { discoverTopology } from '../../../numa/discover.ts';
import { HostSysFs } from '../../../numa/sysfs.ts';
import { AccessTrace } from '../../../tiering/damon/access-trace.ts';
import { KDAMONDS } from '../../../tiering/damon/admin.ts';
import { DamonDriver } from '../../../tiering/damon/driver.ts';
import { STOP_BUDGET_MS } from '../../../tiering/damon/stop-budget.ts';
import type { DesiredKdamond } from '../../../tiering/scheme.ts';

/**
 * Takes whole snapshots of one kdamond of some regions by the files of tried_regions and by the trace, in turns, and prints what
 * each window of time took, with windows without snapshots between them: a program of its own, for guests.
 *
 *     snapshot-work REGIONS SAMPLING_MS AGGREGATION_MS
 */

const ROUNDS = 4;
const WINDOW_MS = 6_000;
const REGIONS_LIMIT_MS = 60_000;
const WAYS = ['nothing', 'tried_regions', 'trace'] as const;

const [regions = 0, samplingMs = 0, aggregationMs = 0] = process.argv.slice(2).map(Number);
const sysfs = new HostSysFs();
const any = { min: 0, max: Number.MAX_SAFE_INTEGER };

async function desiredKdamond(): Promise<DesiredKdamond> {
  const topology = await discoverTopology(sysfs);
  return {
    nodeId: 0,
    samplingIntervalUs: samplingMs * 1000,
    aggregationIntervalUs: aggregationMs * 1000,
    updateIntervalUs: 60_000_000,
    minRegions: regions,
    maxRegions: regions * 2,
    ranges: topology.nodes.flatMap((node) => node.ranges),
    schemes: [
      {
        name: 'all',
        action: 'stat',
        pattern: { sizeBytes: any, nrAccesses: any, age: any },
        quota: { bytes: 0, resetIntervalMs: 0, weights: { size: 0, nrAccesses: 0, age: 0 } },
        filters: [],
      },
    ],
  };
}

/** CPU seconds of a thread, to the nanosecond (Documentation/scheduler/sched-stats.rst). */
function runSeconds(pid: number): number {
  return Number(readFileSync(`/proc/${pid}/schedstat`, 'utf8').split(' ')[0]) / 1e9;
}

const buffer = Buffer.alloc(64);

/** With as few system calls as there can be. */
function readNumber(path: string): number {
  const file = openSync(path, 'r');
  const value = Number.parseInt(buffer.toString('latin1', 0, readSync(file, buffer)), 10);
  closeSync(file);
  return value;
}

/** Gives the number of regions. */
async function readTriedRegions(index: number): Promise<number> {
  await sysfs.write(`${KDAMONDS}/${index}/state`, 'update_schemes_tried_regions');
  const folder = `${KDAMONDS}/${index}/contexts/0/schemes/0/tried_regions`;
  const found = readdirSync(folder, { withFileTypes: true })
    .filter((entry) => entry.isDirectory())
    .map(({ name }) => ({
      start: readNumber(`${folder}/${name}/start`),
      end: readNumber(`${folder}/${name}/end`),
      nrAccesses: readNumber(`${folder}/${name}/nr_accesses`),
      age: readNumber(`${folder}/${name}/age`),
    }));
  return found.length;
}

interface Taken {
  readonly regions: number;
  readonly wallMs: number;
}

/** Waits for whole aggregations and gives what taking each in cost, looking twice an aggregation. */
async function drainSome(trace: AccessTrace): Promise<readonly Taken[]> {
  for (let wallMs = 0; ; ) {
    const since = performance.now();
    const aggregations = await trace.drain();
    wallMs += performance.now() - since;
    if (aggregations.length > 0) {
      return aggregations.map((found) => ({ regions: found.regions.length, wallMs: wallMs / aggregations.length }));
    }
    await sleep(aggregationMs / 2);
  }
}

async function playWindow(way: (typeof WAYS)[number], trace: AccessTrace, index: number, pid: number) {
  const taken: Taken[] = [];
  if (way === 'trace') await trace.watch([pid]);
  const cpu = process.cpuUsage();
  const kdamondBefore = runSeconds(pid);
  const since = performance.now();
  while (performance.now() - since < WINDOW_MS) {
    const began = performance.now();
    if (way === 'trace') {
      taken.push(...(await drainSome(trace)));
      continue;
    }
    if (way === 'tried_regions') {
      taken.push({ regions: await readTriedRegions(index), wallMs: performance.now() - began });
    }
    await sleep(Math.max(0, aggregationMs - (performance.now() - began)));
  }
  const seconds = (performance.now() - since) / 1000;
  const kdamondCpuSeconds = runSeconds(pid) - kdamondBefore;
  const { user, system } = process.cpuUsage(cpu);
  if (way === 'trace') {
    await trace.watch([]);
    await trace.drain();
  }
  return { way, seconds, nodeCpuSeconds: (user + system) / 1e6, kdamondCpuSeconds, taken };
}

const driver = new DamonDriver({ sysfs, saveReceipt: async () => undefined });
await driver.prepare();
const {
  running: [kdamond],
} = await driver.start([await desiredKdamond()]);
if (kdamond === undefined) throw new Error('no kdamond was started');
const trace = new AccessTrace({ sysfs, maxRegions: regions * 2, kdamonds: 1 });
try {
  await trace.start([kdamond.pid]);
  // Regions are split at each aggregation until there are enough.
  for (const deadline = performance.now() + REGIONS_LIMIT_MS; ; ) {
    if ((await drainSome(trace)).some((taken) => taken.regions >= regions * 0.95)) break;
    if (performance.now() > deadline) throw new Error(`fewer than ${regions} regions`);
  }
  await trace.watch([]);
  for (let round = 0; round < ROUNDS; round++) {
    const ways = round % 2 === 0 ? WAYS : WAYS.toReversed();
    for (const way of ways) {
      const played = await playWindow(way, trace, kdamond.index, kdamond.pid);
      // The first round finds code that was not compiled yet.
      if (round > 0) console.log(JSON.stringify(played));
    }
  }
} finally {
  await trace.stop();
  await driver.stop(STOP_BUDGET_MS);
}
