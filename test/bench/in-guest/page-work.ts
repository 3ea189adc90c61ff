import { monitorEventLoopDelay } from 'node:perf_hooks';
import { PageMaps } from '../../../numa/page-maps/page-maps.ts';
import { hostMovePages } from '../../../numa/syscalls/move-pages.ts';
import { HostSysFs } from '../../../numa/sysfs.ts';

/** The daemon's own code at the work of peer.c, with the same arguments and output; a program of its own, for guests. */

interface Round {
  readonly seconds: number;
  readonly cpuSeconds: number;
  readonly pages: number;
  /** How late the event loop was, 99th percentile. Every other round only: looking each millisecond takes time too, most of all where CPUs are emulated. */
  readonly loopDelayMs?: number;
}

const BATCH = 4096;
/** Above all memory of a machine on which this is measured. */
const ALL_MEMORY = [{ start: 0, end: 2 ** 40 }];

async function timed(round: number, work: () => Promise<number>): Promise<Round> {
  const delay = round % 2 === 0 ? undefined : monitorEventLoopDelay({ resolution: 1 });
  delay?.enable();
  const cpu = process.cpuUsage();
  const since = performance.now();
  const pages = await work();
  const seconds = (performance.now() - since) / 1000;
  const { user, system } = process.cpuUsage(cpu);
  delay?.disable();
  const figures = { seconds, cpuSeconds: (user + system) / 1e6, pages };
  return delay === undefined ? figures : { ...figures, loopDelayMs: delay.percentile(99) / 1e6 };
}

async function move(pid: number, firstPage: number, count: number, rounds: number): Promise<readonly Round[]> {
  const movePages = await hostMovePages();
  const moveAll = async (targetNodeId: number): Promise<number> => {
    let moved = 0;
    for (let done = 0; done < count; done += BATCH) {
      const pages = new Float64Array(Math.min(BATCH, count - done));
      for (let i = 0; i < pages.length; i++) pages[i] = firstPage + done + i;
      for (const status of await movePages({ pid, pages, targetNodeId, moveAll: true })) {
        if (status === targetNodeId) moved++;
      }
    }
    return moved;
  };
  const times: Round[] = [];
  for (let round = 0; round < rounds; round++) {
    times.push(await timed(round, async () => (await moveAll(1)) + (await moveAll(0))));
  }
  return times;
}

/**
 * `again`: by page maps that know the process already, as at every tick but the first. What they know is looked up after the last round: that
 * takes longer than reading.
 */
async function scan(pid: number, rounds: number, again: boolean): Promise<readonly Round[]> {
  const sysfs = new HostSysFs();
  const options = { wanted: [], pids: new Set([pid]), maxAgeMs: 0, budgetMs: Number.POSITIVE_INFINITY };
  const times: Round[] = [];
  let pageMaps = new PageMaps({ sysfs, pageBytes: 4096 });
  for (let round = 0; round < rounds; round++) {
    if (!again) pageMaps = new PageMaps({ sysfs, pageBytes: 4096 });
    else if (round === 0) await pageMaps.refresh({ ...options, nowMs: -1 });
    const time = await timed(round, async () => {
      const { skipped, pagesScanned } = await pageMaps.refresh({ ...options, nowMs: round });
      return skipped.length > 0 ? 0 : pagesScanned;
    });
    times.push(time);
  }
  let pages = 0;
  for (const run of pageMaps.find(ALL_MEMORY, { maxBytes: Number.POSITIVE_INFINITY })) pages += run?.pages ?? 0;
  return times.map((time) => ({ ...time, pages: Math.min(time.pages, pages) }));
}

const [verb, ...args] = process.argv.slice(2);
const [pid = 0, second = 0, count = 0, rounds = 0] = args.map(Number);
const rows = verb === 'move' ? await move(pid, second, count, rounds) : await scan(pid, second, verb === 'rescan');
console.log(JSON.stringify(rows));
