import { CGROUP_MOUNT, cgroupBelow, isCgroup } from '../numa/cgroups.ts';
import type { SysFs } from '../numa/sysfs.ts';
import type { Policy } from './policy.ts';
import type { CgroupScope } from './scheme.ts';

/**
 * The policy's cgroups with all that live below them now, since a memcg filter matches exactly one cgroup. Cgroups that do not exist are left out:
 * the kernel refuses a filter for them (ENOMEM), and they join as soon as they are made.
 */
export async function resolveScope(sysfs: SysFs, cgroups: Policy['cgroups']): Promise<CgroupScope> {
  return {
    include: await withDescendants(sysfs, cgroups.include),
    exclude: await withDescendants(sysfs, cgroups.exclude),
  };
}

async function withDescendants(sysfs: SysFs, roots: readonly string[]): Promise<readonly string[]> {
  const found = new Set<string>();
  const queue = [...roots].sort();
  for (const path of queue) {
    const clean = path === '/' ? '/' : path.replace(/\/+$/, '');
    if (found.has(clean) || !(await isCgroup(sysfs, clean))) continue;
    found.add(clean);
    const children = await sysfs.directories(CGROUP_MOUNT + clean);
    queue.push(...children.map((name) => cgroupBelow(clean, name)));
  }
  return [...found];
}

/** True when two scopes hold the same cgroups. */
export function sameScope(a: CgroupScope, b: CgroupScope): boolean {
  const same = (x: readonly string[], y: readonly string[]) =>
    x.length === y.length && x.every((path, i) => path === y[i]);
  return same(a.include, b.include) && same(a.exclude, b.exclude);
}
