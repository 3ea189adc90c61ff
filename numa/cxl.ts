import { KernelFormatError } from './errors.ts';
import { parseDecimal, parseHex } from './numbers.ts';
import type { OptionalValues } from './optional-values.ts';
import type { SysFs } from './sysfs.ts';
import { SysFsError } from './sysfs.ts';
import type { AddressRange, CxlBacking, CxlMemoryDevice } from './topology.ts';

const cxlDevices = '/sys/bus/cxl/devices';
const daxDevices = '/sys/bus/dax/devices';

/** A CXL region: memory of one or more devices, interleaved, at one range of physical addresses. */
export interface CxlRegion extends Omit<CxlBacking, 'daxDevice'> {
  /** Absent until the region is committed. */
  readonly range?: AddressRange;
}

/** A dax device: memory set aside by the firmware or made of a CXL region, which the kmem driver turns into a memory node. */
export interface DaxDevice {
  readonly name: string;
  /** The node its memory becomes. */
  readonly targetNodeId?: number;
  /** The CXL region it is made of, where its place in the device tree says so. */
  readonly region?: string;
  readonly range?: AddressRange;
}

/**
 * CXL regions of the machine, by name; empty without CXL drivers.
 * What cannot be read or understood is left out. Kernel document: ABI/testing/sysfs-bus-cxl.
 */
export async function readCxlRegions(sysfs: SysFs, optional: OptionalValues): Promise<readonly CxlRegion[]> {
  const names = (await optional.read(() => sysfs.list(cxlDevices))) ?? [];
  const regions = names.filter((name) => /^region\d+$/.test(name)).sort(byNumber);
  const found = await Promise.all(regions.map((region) => readRegion(sysfs, region, optional)));
  return found.filter((region) => region !== undefined);
}

async function readRegion(sysfs: SysFs, region: string, optional: OptionalValues): Promise<CxlRegion | undefined> {
  const folder = `${cxlDevices}/${region}`;
  const sizeBytes = await attribute(optional, sysfs, `${folder}/size`, parseHex);
  // A region in the making has no size yet: no memory can come from it.
  if (sizeBytes === undefined || sizeBytes === 0) return undefined;
  const start = await attribute(optional, sysfs, `${folder}/resource`, parseAddress);
  const interleaveWays = (await attribute(optional, sysfs, `${folder}/interleave_ways`, parseWays)) ?? 1;
  const granularity = await attribute(optional, sysfs, `${folder}/interleave_granularity`, parseDecimal);
  const targets = await Promise.all(
    Array.from({ length: interleaveWays }, (_, position) =>
      memoryDeviceOf(sysfs, `${folder}/target${position}`, optional),
    ),
  );
  const reached = targets.filter((name) => name !== undefined);
  const devices = await Promise.all(reached.map((name) => readMemoryDevice(sysfs, name, optional)));
  return {
    region,
    sizeBytes,
    interleaveWays,
    ...(granularity !== undefined && granularity > 0 && { interleaveGranularityBytes: granularity }),
    ...(start !== undefined && { range: { start, end: start + sizeBytes } }),
    devices,
  };
}

/** `target0` names an endpoint decoder; `decoder2.0` belongs to `endpoint2`, whose upstream port is the memory device. */
async function memoryDeviceOf(sysfs: SysFs, targetPath: string, optional: OptionalValues): Promise<string | undefined> {
  const decoder = await attribute(optional, sysfs, targetPath, (text) => text.trim());
  const port = /^decoder(\d+)\.\d+$/.exec(decoder ?? '')?.[1];
  if (port === undefined) return undefined;
  return /\/(mem\d+)$/.exec((await sysfs.link(`${cxlDevices}/endpoint${port}/uport`)) ?? '')?.[1];
}

async function readMemoryDevice(sysfs: SysFs, name: string, optional: OptionalValues): Promise<CxlMemoryDevice> {
  const folder = `${cxlDevices}/${name}`;
  const volatileBytes = (await attribute(optional, sysfs, `${folder}/ram/size`, parseHex)) ?? 0;
  const persistentBytes = (await attribute(optional, sysfs, `${folder}/pmem/size`, parseHex)) ?? 0;
  const serial = await attribute(optional, sysfs, `${folder}/serial`, (text) => text.trim());
  const numaNode = await attribute(optional, sysfs, `${folder}/numa_node`, parseNodeId);
  return {
    name,
    sizeBytes: volatileBytes + persistentBytes,
    ...(serial !== undefined && { serial }),
    ...(numaNode !== undefined && { numaNode }),
  };
}

/** Dax devices of the machine, by name; empty without them. Kernel document: ABI/testing/sysfs-bus-dax. */
export async function readDaxDevices(sysfs: SysFs, optional: OptionalValues): Promise<readonly DaxDevice[]> {
  const names = ((await optional.read(() => sysfs.list(daxDevices))) ?? []).filter((name) =>
    /^dax\d+\.\d+$/.test(name),
  );
  return Promise.all(
    names.map(async (name) => {
      const folder = `${daxDevices}/${name}`;
      const targetNodeId = await attribute(optional, sysfs, `${folder}/target_node`, parseNodeId);
      const start = await attribute(optional, sysfs, `${folder}/resource`, parseAddress);
      const sizeBytes = await attribute(optional, sysfs, `${folder}/size`, parseDecimal);
      // Persistent memory has regions of the same name below its ndbus; only CXL puts a dax_region between.
      const region = /\/(region\d+)\/dax_region\d+\//.exec((await sysfs.link(folder)) ?? '')?.[1];
      return {
        name,
        ...(targetNodeId !== undefined && { targetNodeId }),
        ...(region !== undefined && { region }),
        ...(start !== undefined && sizeBytes !== undefined && { range: { start, end: start + sizeBytes } }),
      };
    }),
  );
}

/** A value, or undefined where the file is not there, not readable without privileges, has nothing to say yet, or says what cannot be understood (which is told). */
async function attribute<Value>(
  optional: OptionalValues,
  sysfs: SysFs,
  path: string,
  parse: (text: string, path: string) => Value,
): Promise<Value | undefined> {
  return optional.read(async () => {
    try {
      const text = await sysfs.readIfPresent(path);
      return text === undefined || text === '' ? undefined : parse(text, path);
    } catch (error) {
      if (error instanceof SysFsError && ['EACCES', 'EPERM', 'EBUSY'].includes(error.errno)) return undefined;
      throw error;
    }
  });
}

/** CXL knows 16 ways at most; each is a file to read. */
function parseWays(text: string, path: string): number {
  const ways = parseDecimal(text, path);
  if (ways > 256) throw new KernelFormatError(path, text, 'a number of ways up to 256');
  return ways;
}

/** Unassigned addresses read as all ones. */
function parseAddress(text: string, path: string): number | undefined {
  return /^0x[f]{16}$/i.test(text.trim()) ? undefined : parseHex(text, path);
}

/** No node reads as -1. */
function parseNodeId(text: string, path: string): number | undefined {
  return text.trim() === '-1' ? undefined : parseDecimal(text, path);
}

function byNumber(a: string, b: string): number {
  return a.localeCompare(b, 'en', { numeric: true });
}
