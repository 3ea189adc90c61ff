import type { DiscoveryOptions, MachineFacts, NodeFacts } from './composition.ts';
import { composeTopology } from './composition.ts';
import { readCxlRegions, readDaxDevices } from './cxl.ts';
import { NumaUnavailableError } from './errors.ts';
import type { PhysicalMap } from './iomem.ts';
import { parseIomem } from './iomem.ts';
import { readKernelTiers } from './kernel-tiers.ts';
import { parseList } from './list-format.ts';
import { readBlockSize, readOnlineBlocks } from './memory-blocks.ts';
import { readCpus, readDistances, readPerformance } from './node-attributes.ts';
import { readNodeMemory } from './node-memory.ts';
import { OptionalValues } from './optional-values.ts';
import type { SysFs } from './sysfs.ts';
import { isGone, SysFsError } from './sysfs.ts';
import type { Topology } from './topology.ts';
import { parseZoneinfo } from './zoneinfo.ts';

const nodeRoot = '/sys/devices/system/node';
const onlineNodes = `${nodeRoot}/online`;

/**
 * The machine's memory nodes, tiers and migration paths as they are now. Nodes without (online) memory are left out.
 * Throws NumaUnavailableError, SysFsError, KernelFormatError, TierConfigurationError.
 * Kernel documents: admin-guide/mm/numaperf, admin-guide/mm/memory-hotplug, ABI/stable/sysfs-devices-node.
 */
export async function discoverTopology(sysfs: SysFs, options: DiscoveryOptions = {}): Promise<Topology> {
  return composeTopology(await readSettledMachine(sysfs), options);
}

/** The files tell of one machine only while no node comes or goes: each `distance`, say, has a figure for every online node. */
const attempts = 3;

async function readSettledMachine(sysfs: SysFs): Promise<MachineFacts> {
  for (let attempt = 1; ; attempt++) {
    const online = await sysfs.readIfPresent(onlineNodes);
    if (online === undefined) throw new NumaUnavailableError(nodeRoot, 'CONFIG_NUMA');
    const settled = async () => attempt === attempts || (await sysfs.readIfPresent(onlineNodes)) === online;
    try {
      const machine = await readMachine(sysfs, parseList(online, onlineNodes));
      if (await settled()) return machine;
    } catch (error) {
      if (await settled()) throw error;
    }
  }
}

async function readMachine(sysfs: SysFs, onlineNodeIds: readonly number[]): Promise<MachineFacts> {
  const optional = new OptionalValues();
  const possible = await sysfs.readIfPresent(`${nodeRoot}/possible`);
  const cpus = await readCpus(sysfs, onlineNodeIds);
  const nodes = await readNodes(sysfs, onlineNodeIds, cpus, optional);
  // After the blocks: a block's System RAM is listed before it goes online and until it is offline.
  const [zoneinfo, physicalMap, cxlRegions, daxDevices, kernelTiers] = await Promise.all([
    sysfs.read('/proc/zoneinfo'),
    readPhysicalMap(sysfs, optional),
    readCxlRegions(sysfs, optional),
    readDaxDevices(sysfs, optional),
    optional.read(() => readKernelTiers(sysfs)),
  ]);
  return {
    nodes,
    possibleNodeIds: possible === undefined ? onlineNodeIds : parseList(possible, `${nodeRoot}/possible`),
    cpuNodeIds: [...cpus].filter(([, list]) => list.length > 0).map(([nodeId]) => nodeId),
    zones: parseZoneinfo(zoneinfo, '/proc/zoneinfo'),
    physicalMap,
    cxlRegions,
    daxDevices,
    kernelTiers: kernelTiers ?? [],
    warnings: optional.warnings,
  };
}

async function readNodes(
  sysfs: SysFs,
  onlineNodeIds: readonly number[],
  cpus: ReadonlyMap<number, readonly number[]>,
  optional: OptionalValues,
): Promise<readonly NodeFacts[]> {
  const blockSizeBytes = await readBlockSize(sysfs);
  const nodes: NodeFacts[] = [];
  for (const nodeId of onlineNodeIds) {
    const onlineBlocks = await readOnlineBlocks(sysfs, nodeId, blockSizeBytes);
    // Right after the blocks, so that sizes and ranges agree while memory comes online.
    const memory = (await readNodeMemory(sysfs, [nodeId])).get(nodeId);
    const distances = await readDistances(sysfs, nodeId, onlineNodeIds);
    if (memory === undefined || memory.totalBytes === 0 || distances === undefined) continue;
    const performance = await readPerformance(sysfs, nodeId, optional);
    nodes.push({
      nodeId,
      cpus: cpus.get(nodeId) ?? [],
      memory,
      distances,
      ...(performance !== undefined && { performance }),
      onlineBlocks,
    });
  }
  return nodes;
}

async function readPhysicalMap(sysfs: SysFs, optional: OptionalValues): Promise<PhysicalMap | undefined> {
  try {
    return parseIomem(await sysfs.read('/proc/iomem'), '/proc/iomem', optional);
  } catch (error) {
    if (isGone(error) || (error instanceof SysFsError && ['EACCES', 'EPERM'].includes(error.errno))) return undefined;
    throw error;
  }
}
