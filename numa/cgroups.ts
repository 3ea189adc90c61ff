import { KernelFormatError } from './errors.ts';
import type { SysFs } from './sysfs.ts';

/** Where version 2 of cgroups is mounted; paths of cgroups are given from there, such as "/system.slice". */
export const CGROUP_MOUNT = '/sys/fs/cgroup';

/** Every cgroup, the root too, has `cgroup.procs`; a folder without it is none. */
export async function isCgroup(sysfs: SysFs, path: string): Promise<boolean> {
  return (await sysfs.list(CGROUP_MOUNT + path)).includes('cgroup.procs');
}

/**
 * A cgroup and all below it, those above before those below, at most `maxCgroups`. Threaded ones are left out: they refuse to list processes
 * (EOPNOTSUPP) and are charged with no memory; the domain above them is. Kernel document: admin-guide/cgroup-v2, Threads. Throws SysFsError.
 */
export async function cgroupTree(
  sysfs: SysFs,
  root: string,
  maxCgroups = Number.POSITIVE_INFINITY,
): Promise<readonly string[]> {
  const paths: string[] = [];
  const queue = [root];
  for (const path of queue) {
    if (paths.length >= maxCgroups) break;
    if ((await sysfs.readIfPresent(`${CGROUP_MOUNT}${path}/cgroup.type`)) === 'threaded') continue;
    paths.push(path);
    const names = await sysfs.directories(CGROUP_MOUNT + path);
    for (const name of names) queue.push(cgroupBelow(path, name));
  }
  return paths;
}

/** The path of a cgroup in another. */
export function cgroupBelow(parent: string, name: string): string {
  return parent === '/' ? `/${name}` : `${parent}/${name}`;
}

/** The path of the cgroup that another is in; undefined for the root. */
export function cgroupAbove(path: string): string | undefined {
  if (path === '/') return undefined;
  return path.slice(0, path.lastIndexOf('/')) || '/';
}

/** What of memory.numa_stat adds up to all memory that is charged; the other lines are parts of these. */
const CHARGED = new Set([
  'anon',
  'file',
  'kernel_stack',
  'pagetables',
  'sec_pagetables',
  'slab_reclaimable',
  'slab_unreclaimable',
]);

/**
 * Bytes by node that a cgroup and those below it are charged with, from its memory.numa_stat (admin-guide/cgroup-v2). Throws KernelFormatError naming
 * `path`.
 */
export function parseMemoryNumaStat(text: string, path: string): ReadonlyMap<number, number> {
  const bytesByNode = new Map<number, number>();
  for (const line of text.split('\n')) {
    const [name = '', ...words] = line.split(' ');
    if (!CHARGED.has(name)) continue;
    for (const word of words) {
      const [, node, bytes] = /^N(\d+)=(\d+)$/.exec(word) ?? [];
      if (node === undefined) throw new KernelFormatError(path, line, 'lines "name N0=bytes N1=bytes ..."');
      bytesByNode.set(Number(node), (bytesByNode.get(Number(node)) ?? 0) + Number(bytes));
    }
  }
  return bytesByNode;
}
