import { KernelFormatError } from './errors.ts';
import { parseList } from './list-format.ts';
import { parseDecimal } from './numbers.ts';
import type { OptionalValues } from './optional-values.ts';
import type { SysFs } from './sysfs.ts';
import type { NodePerformance } from './topology.ts';

const nodeRoot = '/sys/devices/system/node';

/** CPUs of each node, offline ones left out. Throws SysFsError, KernelFormatError. */
export async function readCpus(
  sysfs: SysFs,
  nodeIds: readonly number[],
): Promise<ReadonlyMap<number, readonly number[]>> {
  const cpus = new Map<number, readonly number[]>();
  for (const nodeId of nodeIds) {
    const path = `${nodeRoot}/node${nodeId}/cpulist`;
    cpus.set(nodeId, parseList((await sysfs.readIfPresent(path)) ?? '', path));
  }
  return cpus;
}

/** Distances from a node; the file lists online nodes only, in ascending order of id. */
export async function readDistances(
  sysfs: SysFs,
  nodeId: number,
  onlineNodeIds: readonly number[],
): Promise<ReadonlyMap<number, number> | undefined> {
  const path = `${nodeRoot}/node${nodeId}/distance`;
  const text = await sysfs.readIfPresent(path);
  if (text === undefined) return undefined;
  const distances = text.split(/\s+/).map((word) => parseDecimal(word, path));
  if (distances.length !== onlineNodeIds.length) {
    throw new KernelFormatError(path, text, `a distance for each of ${onlineNodeIds.length} online nodes`);
  }
  return new Map(onlineNodeIds.map((id, index) => [id, distances[index] ?? 0]));
}

/**
 * HMAT/CDAT figures as seen from the nearest CPUs (access1), else from the nearest initiator of any kind (access0, all
 * there is before Linux 5.10). Zero means that the firmware does not say, as does what cannot be understood.
 */
export async function readPerformance(
  sysfs: SysFs,
  nodeId: number,
  optional: OptionalValues,
): Promise<NodePerformance | undefined> {
  for (const access of ['access1', 'access0']) {
    const folder = `${nodeRoot}/node${nodeId}/${access}/initiators`;
    const figure = async (name: string) => {
      const path = `${folder}/${name}`;
      const value = await optional.read(async () => {
        const text = await sysfs.readIfPresent(path);
        return text === undefined || text === '' ? undefined : parseDecimal(text, path);
      });
      return value || undefined;
    };
    const [readLatencyNs, writeLatencyNs, readBandwidthMiBps, writeBandwidthMiBps] = await Promise.all([
      figure('read_latency'),
      figure('write_latency'),
      figure('read_bandwidth'),
      figure('write_bandwidth'),
    ]);
    if ((readLatencyNs ?? writeLatencyNs ?? readBandwidthMiBps ?? writeBandwidthMiBps) === undefined) continue;
    const initiatorNodeIds = ((await optional.read(() => sysfs.list(folder))) ?? [])
      .flatMap((name) => /^node(\d+)$/.exec(name)?.[1] ?? [])
      .map(Number);
    return {
      source: 'hmat',
      ...(readLatencyNs !== undefined && { readLatencyNs }),
      ...(writeLatencyNs !== undefined && { writeLatencyNs }),
      ...(readBandwidthMiBps !== undefined && { readBandwidthMiBps }),
      ...(writeBandwidthMiBps !== undefined && { writeBandwidthMiBps }),
      ...(initiatorNodeIds.length > 0 && { initiatorNodeIds }),
    };
  }
  return undefined;
}
