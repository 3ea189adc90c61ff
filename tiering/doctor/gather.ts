import { basename } from 'node:path';
import { inBatches } from '../../numa/batches.ts';
import type { DiscoveryOptions } from '../../numa/composition.ts';
import { readCxlRegions } from '../../numa/cxl.ts';
import { discoverTopology } from '../../numa/discover.ts';
import { parseList } from '../../numa/list-format.ts';
import { readPageSize } from '../../numa/node-memory.ts';
import { OptionalValues } from '../../numa/optional-values.ts';
import type { SysFs } from '../../numa/sysfs.ts';
import { isGone, SysFsError } from '../../numa/sysfs.ts';
import type { Topology } from '../../numa/topology.ts';
import { parseZoneinfo } from '../../numa/zoneinfo.ts';
import { DamonAdmin } from '../damon/admin.ts';
import type { DaxFact, Fact, FactName, HostFacts, KdamondFact, Looker, NodeZones } from './facts.ts';
import { FACT_FILES } from './facts.ts';
import type { KnownDamon } from './known-damon.ts';
import { unusedCxlDevices } from './unused-cxl.ts';

const CXL_DEVICES = '/sys/bus/cxl/devices';
const DAX_DEVICES = '/sys/bus/dax/devices';

/**
 * Looks at a host. Never fails for want of privileges: what cannot be seen is a fact of its own. Writes nothing.
 *
 * @param known of DAMON, which cannot be looked at without knowing who tierd is, or without writing
 * @param discovery what the daemon knows of the machine beside what the kernel says
 */
export async function gatherFacts(
  sysfs: SysFs,
  known: KnownDamon,
  looker: Looker,
  discovery: DiscoveryOptions,
): Promise<HostFacts> {
  const regions = await readCxlRegions(sysfs, new OptionalValues());
  const names = await orElse(sysfs.list(CXL_DEVICES), []);
  const [files, kdamonds, topology, zones, unused, uncommittedRegions, dax, offline] = await Promise.all([
    readFiles(sysfs),
    orElse(runningKdamonds(sysfs), undefined),
    topologyOf(sysfs, discovery),
    orElse(zonesOf(sysfs), []),
    orElse(unusedCxlDevices(sysfs, names, regions), []),
    uncommitted(sysfs, names),
    daxDevices(sysfs),
    orElse(offlineBlocks(sysfs), new Map()),
  ]);
  return {
    ...known,
    looker,
    files,
    kdamonds,
    topology,
    zones,
    unusedCxlDevices: unused,
    uncommittedRegions,
    daxDevices: dax,
    offlineBlocks: offline,
  };
}

async function readFiles(sysfs: SysFs): Promise<HostFacts['files']> {
  // All are on their way at once: one after the other would be dozens of turns through a thread pool that a busy host is slow to serve.
  const started = new Map(Object.entries(FACT_FILES).map(([name, file]) => [name, factOf(sysfs, file)]));
  const read = (name: FactName) => started.get(name) ?? factOf(sysfs, FACT_FILES[name]);
  return {
    kernelRelease: await read('kernelRelease'),
    nrKdamonds: await read('nrKdamonds'),
    damonStat: await read('damonStat'),
    damonReclaim: await read('damonReclaim'),
    damonLruSort: await read('damonLruSort'),
    numaBalancing: await read('numaBalancing'),
    demotionEnabled: await read('demotionEnabled'),
    zoneReclaimMode: await read('zoneReclaimMode'),
    transparentHugePages: await read('transparentHugePages'),
    hugePages: await read('hugePages'),
    autoOnline: await read('autoOnline'),
    cgroupControllers: await read('cgroupControllers'),
    damonEvents: await read('damonEvents'),
    ownStatus: await read('ownStatus'),
  };
}

async function factOf(sysfs: SysFs, file: string): Promise<Fact> {
  try {
    return { state: 'value', file, text: (await sysfs.read(file)).trim() };
  } catch (error) {
    if (isGone(error)) return { state: 'absent', file };
    return { state: 'unreadable', file, errno: error instanceof SysFsError ? error.errno : 'EUNKNOWN' };
  }
}

async function runningKdamonds(sysfs: SysFs): Promise<readonly KdamondFact[]> {
  const admin = new DamonAdmin(sysfs);
  const running = (await admin.states()).filter(({ on }) => on);
  return Promise.all(
    running.map(async ({ index, pid = -1 }) => {
      const context = `${index}/contexts/0`;
      const schemes = (await admin.list(`${context}/schemes`)).filter((name) => /^\d+$/.test(name));
      const actions = await Promise.all(
        schemes.map((name) => admin.readIfPresent(`${context}/schemes/${name}/action`)),
      );
      return {
        index,
        pid,
        operations: (await admin.readIfPresent(`${context}/operations`)) ?? 'unknown operations',
        actions: actions.filter((action) => action !== undefined),
      };
    }),
  );
}

async function topologyOf(sysfs: SysFs, discovery: DiscoveryOptions): Promise<Topology | string> {
  return discoverTopology(sysfs, discovery).catch((error: unknown) =>
    error instanceof Error ? error.message : String(error),
  );
}

async function zonesOf(sysfs: SysFs): Promise<readonly NodeZones[]> {
  const zones = parseZoneinfo(await sysfs.read('/proc/zoneinfo'), '/proc/zoneinfo');
  const pageBytes = await readPageSize(sysfs);
  const nodeIds = [...new Set(zones.map(({ nodeId }) => nodeId))];
  const bytesOf = (nodeId: number, isMovable: boolean) =>
    zones
      .filter((zone) => zone.nodeId === nodeId && (zone.name === 'Movable') === isMovable)
      .reduce((sum, { managedPages }) => sum + managedPages * pageBytes, 0);
  return nodeIds.map((nodeId) => ({
    nodeId,
    movableBytes: bytesOf(nodeId, true),
    otherBytes: bytesOf(nodeId, false),
  }));
}

async function uncommitted(sysfs: SysFs, names: readonly string[]): Promise<readonly string[]> {
  const regions = names.filter((name) => /^region\d+$/.test(name));
  const commits = await Promise.all(
    regions.map((region) => orElse(sysfs.readIfPresent(`${CXL_DEVICES}/${region}/commit`), undefined)),
  );
  return regions.filter((_, index) => commits[index] === '0');
}

async function daxDevices(sysfs: SysFs): Promise<readonly DaxFact[]> {
  const names = await orElse(sysfs.list(DAX_DEVICES), []);
  return Promise.all(
    names.map(async (name) => {
      const driver = await sysfs.link(`${DAX_DEVICES}/${name}/driver`);
      return driver === undefined ? { name } : { name, driver: basename(driver) };
    }),
  );
}

async function offlineBlocks(sysfs: SysFs): Promise<ReadonlyMap<number, readonly number[]>> {
  const online = await sysfs.readIfPresent('/sys/devices/system/node/online');
  const found = new Map<number, readonly number[]>();
  for (const nodeId of parseList(online ?? '', '/sys/devices/system/node/online')) {
    const names = await sysfs.list(`/sys/devices/system/node/node${nodeId}`);
    const blocks = names.flatMap((name) => /^memory(\d+)$/.exec(name)?.[1] ?? []);
    // A host of some TiB has thousands.
    const states = await inBatches(blocks, (index) =>
      sysfs.readIfPresent(`/sys/devices/system/memory/memory${index}/state`),
    );
    const offline = blocks.filter((_, at) => states[at] === 'offline').map(Number);
    if (offline.length > 0) found.set(nodeId, offline);
  }
  return found;
}

async function orElse<T>(promise: Promise<T>, fallback: T): Promise<T> {
  try {
    return await promise;
  } catch {
    return fallback;
  }
}
