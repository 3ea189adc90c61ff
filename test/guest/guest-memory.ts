import { highWatermarks, parseZoneinfo } from '../../numa/zoneinfo.ts';
import type { Guest } from './guest.ts';
import type { GuestProcess } from './guest-process.ts';
import { shellQuote } from './host-process.ts';

/** Bytes of a page of x86. */
const pageBytes = 4096;

export interface NodeMemory {
  readonly totalBytes: number;
  readonly freeBytes: number;
  readonly highWatermarkBytes: number;
}

/** What the guest's kernel says of a node's memory at this moment. */
export async function nodeMemory(guest: Guest, nodeId: number): Promise<NodeMemory> {
  const files = await guest.check(`cat /sys/devices/system/node/node${nodeId}/meminfo; echo ---; cat /proc/zoneinfo`);
  const [meminfo = '', zoneinfo = ''] = files.split('---\n');
  const bytes = (key: string): number =>
    Number(new RegExp(`${key}:\\s+(\\d+) kB`).exec(meminfo)?.[1] ?? Number.NaN) * 1024;
  const watermarks = highWatermarks(parseZoneinfo(zoneinfo, '/proc/zoneinfo'), pageBytes);
  return {
    totalBytes: bytes('MemTotal'),
    freeBytes: bytes('MemFree'),
    highWatermarkBytes: watermarks.get(nodeId) ?? 0,
  };
}

/** How many pages of its own a process has on a node, without private mappings of files: most of their pages are the files'. */
export async function anonymousPages(guest: Guest, pid: number): Promise<(nodeId: number) => number> {
  const areas = await guest.check(`grep ' anon=' /proc/${pid}/numa_maps | grep -v ' file='`);
  return (nodeId) =>
    [...areas.matchAll(new RegExp(`\\bN${nodeId}=(\\d+)`, 'g'))].reduce((sum, [, pages]) => sum + Number(pages), 0);
}

/** A node's free memory over time. */
export class FreeMemoryWatch {
  readonly #process: GuestProcess;

  private constructor(child: GuestProcess) {
    this.#process = child;
  }

  /** Begins to look, four times a second, in a shell that starts no process for it. */
  static start(guest: Guest, nodeId: number): FreeMemoryWatch {
    const file = `/sys/devices/system/node/node${nodeId}/meminfo`;
    const look = `while read -r _ _ key value _; do [[ $key == MemFree: ]] && break; done <${file}`;
    const script = `while :; do ${look}; echo "$EPOCHREALTIME $value"; read -r -t 0.25; (($? > 128)) || exit 0; done`;
    return new FreeMemoryWatch(guest.spawn(`exec bash -c ${shellQuote(script)}`));
  }

  /** Free bytes at the last look up to then (seconds since 1970 by the guest's clock). */
  async freeBytesAt(time: number): Promise<number> {
    await this.#process.waitForLine((line) => Number(line.split(' ')[0]) > time, 30_000);
    const looks = this.#process.lines.map((line) => line.split(' ').map(Number));
    const last = looks.findLast(([at = 0]) => at <= time) ?? looks[0];
    return (last?.[1] ?? Number.NaN) * 1024;
  }

  async stop(): Promise<void> {
    await this.#process.stop();
  }
}

/** Counters of the guest's kernel since its boot. */
export interface Counters {
  /** Pages that changed nodes, by whomever. */
  readonly migratedBytes: number;
  readonly oomKills: number;
  /** Allocations that had to wait until memory was reclaimed; they did not fail. */
  readonly allocationStalls: number;
}

export async function counters(guest: Guest): Promise<Counters> {
  let migrated = 0;
  let oomKills = 0;
  let allocationStalls = 0;
  for (const line of (await guest.check('cat /proc/vmstat')).split('\n')) {
    const [name = '', value = ''] = line.split(' ');
    if (name === 'pgmigrate_success') migrated = Number(value);
    if (name === 'oom_kill') oomKills = Number(value);
    if (name.startsWith('allocstall_')) allocationStalls += Number(value);
  }
  return { migratedBytes: migrated * pageBytes, oomKills, allocationStalls };
}

/** Lines of the kernel's log about memory that could not be had. */
export async function memoryFailures(guest: Guest): Promise<readonly string[]> {
  const pattern = 'page allocation failure|invoked oom-killer|Out of memory|Killed process';
  const found = await guest.run(`dmesg | grep -iE '${pattern}'`);
  return found.stdout.split('\n').filter((line) => line !== '');
}
