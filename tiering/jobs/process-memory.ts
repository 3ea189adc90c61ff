import { firstEndingAfter, parseAreas } from '../../numa/page-maps/areas.ts';
import type { AreaPlacement } from '../../numa/page-maps/numa-maps.ts';
import { parseNumaMaps } from '../../numa/page-maps/numa-maps.ts';
import { isExited } from '../../numa/page-maps/processes.ts';
import { ADDRESS_UNIT_BYTES, hugePageBytes } from '../../numa/page-size.ts';
import type { SysFs } from '../../numa/sysfs.ts';
import { parseInSlices } from '../../numa/text-slices.ts';
import type { PageRun } from './page-batches.ts';

/** An area of a process with memory on some nodes. */
export interface AreaRun extends PageRun {
  /** In memory when it was looked at, on whichever node. */
  readonly residentBytes: number;
}

/** The areas of a process that have memory on some nodes. */
export interface ProcessMemory {
  readonly runs: readonly AreaRun[];
  /** On those nodes, mapped in. */
  readonly bytes: number;
  /** On every node, mapped in. */
  readonly bytesByNode: ReadonlyMap<number, number>;
}

/**
 * Where a process has memory on the given nodes. The kernel counts each area's pages by node, so that the terabytes that
 * programs reserve and do not use need not be searched: see residentRuns() for those that are used a little. Nothing once the process has exited.
 * Throws SysFsError, KernelFormatError.
 *
 * @param kernelPageBytes see readPageSize()
 */
export async function readProcessMemory(
  sysfs: SysFs,
  pid: number,
  nodeIds: ReadonlySet<number>,
  kernelPageBytes: number,
): Promise<ProcessMemory> {
  const folder = `/proc/${pid}`;
  const numaMaps = await readUnlessExited(sysfs, `${folder}/numa_maps`);
  const placements = await parseInSlices(numaMaps, (lines) =>
    parseNumaMaps(lines, kernelPageBytes, `${folder}/numa_maps`),
  );
  const bytesByNode = sumByNode(placements);
  const runs: AreaRun[] = [];
  if (![...nodeIds].some((nodeId) => bytesByNode.has(nodeId))) return { runs, bytes: 0, bytesByNode };
  const maps = await readUnlessExited(sysfs, `${folder}/maps`);
  const areas = await parseInSlices(maps, (lines) => parseAreas(lines, ADDRESS_UNIT_BYTES, `${folder}/maps`));
  let bytes = 0;
  for (const [index, { startPage, pageBytes, pagesByNode }] of placements.entries()) {
    const pages = [...nodeIds].reduce((sum, nodeId) => sum + (pagesByNode.get(nodeId) ?? 0), 0);
    const around = pages === 0 ? undefined : areas[firstEndingAfter(areas, startPage)];
    if (around === undefined || around.startPage > startPage) continue;
    // Areas are joined with their neighbours, placements are not.
    const nextStartPage = placements[index + 1]?.startPage ?? Number.POSITIVE_INFINITY;
    runs.push({
      startPage,
      endPage: Math.min(around.endPage, nextStartPage),
      pageBytes,
      blockBytes: Math.max(pageBytes, hugePageBytes(kernelPageBytes)),
      residentBytes: sum(pagesByNode.values()) * pageBytes,
    });
    bytes += pages * pageBytes;
  }
  return { runs, bytes, bytesByNode };
}

function sum(numbers: Iterable<number>): number {
  let total = 0;
  for (const number of numbers) total += number;
  return total;
}

function sumByNode(placements: readonly AreaPlacement[]): ReadonlyMap<number, number> {
  const bytesByNode = new Map<number, number>();
  for (const { pageBytes, pagesByNode } of placements) {
    for (const [nodeId, pages] of pagesByNode) {
      bytesByNode.set(nodeId, (bytesByNode.get(nodeId) ?? 0) + pages * pageBytes);
    }
  }
  return bytesByNode;
}

/** Empty once the process has exited. */
async function readUnlessExited(sysfs: SysFs, path: string): Promise<string> {
  try {
    return await sysfs.read(path);
  } catch (error) {
    if (isExited(error)) return '';
    throw error;
  }
}
