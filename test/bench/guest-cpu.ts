import type { Guest } from '../guest/guest.ts';
import type { CpuTime } from './proc-text.ts';
import { cpuTimeOf } from './proc-text.ts';

export async function kdamondPids(guest: Guest): Promise<readonly string[]> {
  return (await guest.check(`pgrep -x 'kdamond\\.[0-9]+'`)).trim().split('\n');
}

/** CPU times of processes with all their threads, in the order of the pids, and the uptime in seconds to tell them by. */
export async function cpuOf(
  guest: Guest,
  pids: readonly string[],
): Promise<{ readonly uptime: number; readonly times: readonly CpuTime[] }> {
  const files = pids.map((pid) => `/proc/${pid}/stat`).join(' ');
  const [uptime = '', ...stats] = (await guest.check(`cat /proc/uptime ${files}`)).trim().split('\n');
  return { uptime: Number.parseFloat(uptime), times: stats.map((stat) => cpuTimeOf(stat)) };
}
