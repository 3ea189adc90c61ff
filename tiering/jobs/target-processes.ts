import { CGROUP_MOUNT, cgroupBelow, cgroupTree, isCgroup } from '../../numa/cgroups.ts';
import type { UserProcess } from '../../numa/page-maps/processes.ts';
import { cgroupProcesses, userProcess, userProcesses } from '../../numa/page-maps/processes.ts';
import type { SysFs } from '../../numa/sysfs.ts';
import { MigrationTargetError } from './errors.ts';
import type { MigrationTarget } from './migration-job.ts';

const NAMES_SHOWN = 10;

/**
 * The process that a target with a pid means; undefined for a cgroup. Throws MigrationTargetError, which says what there is,
 * when there is no such process or cgroup.
 */
export async function requireTarget(sysfs: SysFs, target: MigrationTarget): Promise<UserProcess | undefined> {
  if ('pid' in target) {
    const process = userProcess(sysfs, target.pid);
    if (process !== undefined) return process;
    throw new MigrationTargetError('pid', target.pid, 'the id of a process that runs and has memory');
  }
  const path = withoutEndSlash(target.cgroup);
  if (await isCgroup(sysfs, path)) return undefined;
  throw new MigrationTargetError('cgroup', target.cgroup, await nearestCgroup(sysfs, path));
}

/** The target's processes as they are now, without those that have no memory; none once it is gone. Throws SysFsError. */
export async function targetProcesses(sysfs: SysFs, target: MigrationTarget): Promise<readonly UserProcess[]> {
  if ('pid' in target) return userProcesses(sysfs, new Set([target.pid]));
  const cgroups = await cgroupTree(sysfs, withoutEndSlash(target.cgroup));
  return userProcesses(sysfs, await cgroupProcesses(sysfs, cgroups));
}

/** What there is instead of a cgroup that is not there: those below the nearest one above it. */
async function nearestCgroup(sysfs: SysFs, missing: string): Promise<string> {
  let above = missing;
  while (above !== '' && above !== '/') {
    above = above.slice(0, above.lastIndexOf('/'));
    if (await isCgroup(sysfs, above)) break;
  }
  const names = await sysfs.directories(CGROUP_MOUNT + above);
  const shown = names.slice(0, NAMES_SHOWN).map((name) => cgroupBelow(above, name));
  const rest = names.length - shown.length;
  const what = 'the path of a cgroup, without the cgroup mount';
  if (shown.length === 0) return above === '' ? `${what}: / has none below it` : `${what}, such as ${above}`;
  return `${what}, such as ${shown.join(', ')}${rest > 0 ? ` or ${rest} more below ${cgroupBelow(above, '')}` : ''}`;
}

function withoutEndSlash(path: string): string {
  return path.replace(/(?<=.)\/+$/, '');
}
