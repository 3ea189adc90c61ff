import type { SysFs } from '../numa/sysfs.ts';

const NUMA_BALANCING = '/proc/sys/kernel/numa_balancing';

/**
 * What else on this host moves memory between nodes and so works against tierd, as sentences for the log: file, value, way out.
 * DAMON's own modules (DAMON_RECLAIM, DAMON_LRU_SORT) are refused by the driver, as they hold DAMON exclusively.
 */
export async function findConflicts(sysfs: SysFs): Promise<readonly string[]> {
  const numaBalancing = await sysfs.readIfPresent(NUMA_BALANCING);
  if (numaBalancing === undefined || numaBalancing === '0') return [];
  return [
    `NUMA balancing is on (${NUMA_BALANCING} is ${numaBalancing}) and moves memory on its own, whatever the target: ` +
      'switch it off with `sysctl kernel.numa_balancing=0`',
  ];
}
