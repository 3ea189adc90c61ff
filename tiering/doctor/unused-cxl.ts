import type { CxlRegion } from '../../numa/cxl.ts';
import { parseIomem } from '../../numa/iomem.ts';
import { parseHex } from '../../numa/numbers.ts';
import { OptionalValues } from '../../numa/optional-values.ts';
import { intersectRanges, rangesBytes } from '../../numa/ranges.ts';
import type { SysFs } from '../../numa/sysfs.ts';
import type { UnusedCxlDevice } from './facts.ts';

const CXL_DEVICES = '/sys/bus/cxl/devices';

/**
 * CXL memory devices that no region has. Firmware may have made System RAM of their memory at boot: then there is no region, the memory is in use, and
 * making a region would take it away from under the kernel.
 */
export async function unusedCxlDevices(
  sysfs: SysFs,
  names: readonly string[],
  regions: readonly CxlRegion[],
): Promise<readonly UnusedCxlDevice[]> {
  const inRegions = new Set(regions.flatMap(({ devices }) => devices.map(({ name }) => name)));
  const unused = names.filter((name) => /^mem\d+$/.test(name) && !inRegions.has(name));
  if (unused.length === 0) return [];
  const windows = await windowUse(sysfs, regions);
  const ports = await endpoints(sysfs, names);
  return Promise.all(
    unused.map(async (name): Promise<UnusedCxlDevice> => {
      const port = ports.get(name);
      const decoder = port === undefined ? undefined : await committedDecoder(sysfs, names, port);
      if (decoder !== undefined) return { name, setUpBy: 'firmware', evidence: decoder };
      return { name, ...windows };
    }),
  );
}

/** Number of each memory device's endpoint port. */
async function endpoints(sysfs: SysFs, names: readonly string[]): Promise<ReadonlyMap<string, string>> {
  const found = new Map<string, string>();
  for (const name of names) {
    const port = /^endpoint(\d+)$/.exec(name)?.[1];
    if (port === undefined) continue;
    const device = /\/(mem\d+)$/.exec((await sysfs.link(`${CXL_DEVICES}/${name}/uport`)) ?? '')?.[1];
    if (device !== undefined) found.set(device, port);
  }
  return found;
}

/** A decoder of the endpoint that routes addresses to the device. */
async function committedDecoder(sysfs: SysFs, names: readonly string[], port: string) {
  const optional = new OptionalValues();
  for (const name of names.filter((candidate) => candidate.startsWith(`decoder${port}.`))) {
    const file = `${CXL_DEVICES}/${name}/size`;
    const text = await optional.read(() => sysfs.readIfPresent(file));
    const sizeBytes = text === undefined ? undefined : await optional.read(async () => parseHex(text, file));
    if (text !== undefined && sizeBytes !== undefined && sizeBytes > 0) return { file, value: text };
  }
  return undefined;
}

/** Whether CXL windows hold System RAM that no region explains. Which device it is of is not said there. */
async function windowUse(
  sysfs: SysFs,
  regions: readonly CxlRegion[],
): Promise<Pick<UnusedCxlDevice, 'setUpBy' | 'evidence'>> {
  const file = '/proc/iomem';
  const optional = new OptionalValues();
  const text = await optional.read(() => sysfs.read(file));
  const map = text === undefined ? undefined : parseIomem(text, file, optional);
  if (map === undefined) return { setUpBy: 'unknown', evidence: { file, value: '(its addresses cannot be seen)' } };
  const ramBytes = rangesBytes(intersectRanges(map.cxlWindows, map.systemRam));
  const ofRegions = regions.flatMap(({ range }) => (range === undefined ? [] : [range]));
  const regionBytes = rangesBytes(intersectRanges(intersectRanges(map.cxlWindows, map.systemRam), ofRegions));
  const otherBytes = ramBytes - regionBytes;
  return {
    setUpBy: otherBytes > 0 ? 'firmware' : 'none',
    evidence: { file, value: `${otherBytes} bytes of System RAM in CXL windows, outside of all regions` },
  };
}
