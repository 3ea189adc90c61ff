import { highWatermarks, parseZoneinfo } from '../../numa/zoneinfo.ts';
import type { Guest } from './guest.ts';

/** Bytes of a page of x86. */
export const pageBytes = 4096;

export interface NodeMemory {
  readonly totalBytes: number;
  readonly freeBytes: number;
  readonly highWatermarkBytes: number;
}

/** What the guest's kernel says of a node's memory at this moment. */
export async function nodeMemory(guest: Guest, nodeId: number): Promise<NodeMemory> {
  const [meminfo, zoneinfo] = await Promise.all([
    guest.check(`cat /sys/devices/system/node/node${nodeId}/meminfo`),
    guest.check('cat /proc/zoneinfo'),
  ]);
  const bytes = (key: string): number =>
    Number(new RegExp(`${key}:\\s+(\\d+) kB`).exec(meminfo)?.[1] ?? Number.NaN) * 1024;
  const watermarks = highWatermarks(parseZoneinfo(zoneinfo, '/proc/zoneinfo'), pageBytes);
  return {
    totalBytes: bytes('MemTotal'),
    freeBytes: bytes('MemFree'),
    highWatermarkBytes: watermarks.get(nodeId) ?? 0,
  };
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
