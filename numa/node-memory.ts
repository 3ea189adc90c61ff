import type { NodeMemory } from './meminfo.ts';
import { parseNodeMeminfo } from './meminfo.ts';
import { pageSizeFrom } from './page-size.ts';
import type { SysFs } from './sysfs.ts';
import { isGone } from './sysfs.ts';
import type { Zone } from './zoneinfo.ts';
import { highWatermarks, parseZoneinfo } from './zoneinfo.ts';

/**
 * Total and free memory of each node, in bytes: one small read a node, meant for every tick. A node that is gone is left
 * out. Throws SysFsError, KernelFormatError.
 */
export async function readNodeMemory(
  sysfs: SysFs,
  nodeIds: readonly number[],
): Promise<ReadonlyMap<number, NodeMemory>> {
  const memory = new Map<number, NodeMemory>();
  await Promise.all(
    nodeIds.map(async (nodeId) => {
      const path = `/sys/devices/system/node/node${nodeId}/meminfo`;
      try {
        memory.set(nodeId, parseNodeMeminfo(await sysfs.read(path), path));
      } catch (error) {
        if (!isGone(error)) throw error;
      }
    }),
  );
  return memory;
}

/**
 * Each node's high watermark, in bytes: the free memory it must keep for migrations into it to succeed. Changes with
 * hot-plug and with `vm.watermark_scale_factor`. Throws SysFsError, KernelFormatError.
 */
export async function readHighWatermarks(sysfs: SysFs): Promise<ReadonlyMap<number, number>> {
  const zones = await readZones(sysfs);
  return highWatermarks(zones, await pageSize(sysfs, zones));
}

/** The kernel's page size in bytes. Throws SysFsError, KernelFormatError. */
export async function readPageSize(sysfs: SysFs): Promise<number> {
  return pageSize(sysfs, await readZones(sysfs));
}

async function readZones(sysfs: SysFs): Promise<readonly Zone[]> {
  const path = '/proc/zoneinfo';
  return parseZoneinfo(await sysfs.read(path), path);
}

async function pageSize(sysfs: SysFs, zones: readonly Zone[]): Promise<number> {
  const managed = zones.find(({ managedPages }) => managedPages > 0);
  return pageSizeFrom(await readNodeMemory(sysfs, managed === undefined ? [] : [managed.nodeId]), zones);
}
