import { inBatches } from '../../numa/batches.ts';
import { CGROUP_MOUNT, cgroupAbove, cgroupTree, parseMemoryNumaStat } from '../../numa/cgroups.ts';
import { FrameCgroups } from '../../numa/page-maps/frame-cgroups.ts';
import { samplePages } from '../../numa/page-maps/page-sample.ts';
import type { SysFs } from '../../numa/sysfs.ts';
import { SysFsError } from '../../numa/sysfs.ts';
import type { SlowFrames } from './slow-frames.ts';
import type { CgroupPlacement, CgroupSurvey } from './survey.ts';
import { byNeed, placement } from './survey.ts';

export interface CgroupSurveyOptions {
  readonly sysfs: SysFs;
  /** Undefined while no slow node has been watched, so that what is hot is not known. */
  readonly slow: SlowFrames | undefined;
  readonly pageBytes: number;
  /** CLOCK_MONOTONIC, in milliseconds. */
  readonly nowMs: () => number;
}

const MAX_CGROUPS = 4096;
/** Of a node: the entries of 4 GiB of hot memory. Of more a sample is read. */
const MOST_FRAMES_READ = 2 ** 20;

/** A cgroup that memory is charged to. */
interface Charged {
  readonly path: string;
  readonly inode: number | undefined;
  readonly bytesByNode: ReadonlyMap<number, number>;
}

interface HotBytes {
  /** By slow node: those of a cgroup with all below it. */
  of(path: string): ReadonlyMap<number, number>;
  /** Those of no cgroup. */
  readonly unchargedBytes: number;
}

/**
 * How much memory the cgroups have where, and how much of it is hot on slow nodes: from memory.numa_stat, and from /proc/kpagecgroup, which is read for
 * hot frames of slow nodes only. Throws SysFsError, KernelFormatError.
 */
export async function surveyCgroups({ sysfs, slow, pageBytes, nowMs }: CgroupSurveyOptions): Promise<CgroupSurvey> {
  // Asks for one more, to know whether there are more. The file is there at the root of version 2 only.
  const isVersion2 = (await sysfs.readIfPresent(`${CGROUP_MOUNT}/cgroup.controllers`)) !== undefined;
  const paths = isVersion2 ? await cgroupTree(sysfs, '/', MAX_CGROUPS + 1) : [];
  const isPartial = paths.length > MAX_CGROUPS;
  const charged = (await inBatches(paths.slice(0, MAX_CGROUPS), (path) => readCharged(sysfs, path))).flat();
  if (charged.length === 0) {
    const problem = `there are no cgroups of version 2 with the memory controller at ${CGROUP_MOUNT}`;
    return { takenAtMs: nowMs(), problem, cgroups: [], isPartial };
  }
  const hot = slow && (await hotBytes(charged, slow, sysfs, pageBytes));
  const cgroups = charged.map(
    ({ path, bytesByNode }): CgroupPlacement => ({ path, ...placement(bytesByNode, hot?.of(path)) }),
  );
  return {
    takenAtMs: nowMs(),
    cgroups: cgroups.sort(byNeed),
    isPartial,
    ...(hot && { unchargedHotBytes: hot.unchargedBytes }),
  };
}

/** Nothing when the cgroup is gone, or has no memory controller: the one above it is charged then. */
async function readCharged(sysfs: SysFs, path: string): Promise<readonly Charged[]> {
  const file = `${CGROUP_MOUNT}${path}/memory.numa_stat`;
  const [text, inode] = await Promise.all([sysfs.readIfPresent(file), sysfs.inode(CGROUP_MOUNT + path)]);
  return text === undefined ? [] : [{ path, inode, bytesByNode: parseMemoryNumaStat(text, file) }];
}

/** Undefined when the kernel does not tell. */
async function hotBytes(
  charged: readonly Charged[],
  slow: SlowFrames,
  sysfs: SysFs,
  pageBytes: number,
): Promise<HotBytes | undefined> {
  const none = new Map(slow.nodeIds.map((nodeId) => [nodeId, 0]));
  if (!slow.hasHot) return { of: () => none, unchargedBytes: 0 };
  let frameCgroups: FrameCgroups;
  try {
    frameCgroups = await FrameCgroups.open(sysfs.root);
  } catch (error) {
    if (error instanceof SysFsError) return undefined;
    throw error;
  }
  try {
    const pathByInode = new Map(charged.map(({ path, inode }) => [inode, path]));
    const byPath = new Map<string, Map<number, number>>();
    let unchargedBytes = 0;
    for (const nodeId of slow.nodeIds) {
      const sample = samplePages(slow.hot(nodeId), MOST_FRAMES_READ);
      for (const [inode, frames] of await frameCgroups.count(sample.spans)) {
        const bytes = Math.round(frames / sample.share) * pageBytes;
        const path = pathByInode.get(inode);
        if (path === undefined) unchargedBytes += bytes;
        else charge(byPath, path, nodeId, bytes);
      }
    }
    return { of: (path) => new Map([...none, ...(byPath.get(path) ?? [])]), unchargedBytes };
  } finally {
    await frameCgroups.close();
  }
}

/** To a cgroup and all above it, as memory.numa_stat does. */
function charge(byPath: Map<string, Map<number, number>>, charged: string, nodeId: number, bytes: number): void {
  for (let path: string | undefined = charged; path !== undefined; path = cgroupAbove(path)) {
    const byNode = byPath.get(path) ?? new Map<number, number>();
    byNode.set(nodeId, (byNode.get(nodeId) ?? 0) + bytes);
    byPath.set(path, byNode);
  }
}
