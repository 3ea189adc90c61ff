import { parseList } from './list-format.ts';
import type { SysFs } from './sysfs.ts';

const tierRoot = '/sys/devices/virtual/memory_tiering';

/** The kernel's tiers, fastest (lowest number) first; none before Linux 6.1. Kernel document: ABI/testing/sysfs-kernel-mm-memory-tiers. */
export async function readKernelTiers(sysfs: SysFs): Promise<readonly (readonly number[])[]> {
  const numbers = (await sysfs.list(tierRoot))
    .flatMap((name) => /^memory_tier(\d+)$/.exec(name)?.[1] ?? [])
    .map(Number)
    .sort((a, b) => a - b);
  return Promise.all(
    numbers.map(async (number) => {
      const path = `${tierRoot}/memory_tier${number}/nodelist`;
      return parseList((await sysfs.readIfPresent(path)) ?? '', path);
    }),
  );
}
