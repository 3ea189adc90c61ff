import { cgroupProcesses, userProcesses } from '../../numa/page-maps/processes.ts';
import type { SysFs } from '../../numa/sysfs.ts';
import type { CgroupScope } from '../scheme.ts';
import { movesNothing } from '../scheme.ts';

/** The processes whose memory may be moved, never this one; undefined: all others. Memory goes with the process that maps it, not with the cgroup that it is charged to. */
export async function processesInScope(sysfs: SysFs, scope: CgroupScope): Promise<ReadonlySet<number> | undefined> {
  if (scope.include === 'all' && scope.exclude.length === 0) return undefined;
  if (movesNothing(scope)) return new Set();
  const excluded = await cgroupProcesses(sysfs, scope.exclude);
  const included =
    scope.include === 'all'
      ? new Set((await userProcesses(sysfs)).map(({ pid }) => pid))
      : await cgroupProcesses(sysfs, scope.include);
  return new Set([...included].filter((pid) => pid !== process.pid && !excluded.has(pid)));
}
