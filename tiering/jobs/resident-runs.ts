import { PageFile } from '../../numa/page-maps/page-files.ts';
import { isExited } from '../../numa/page-maps/processes.ts';
import { ResidentPages } from '../../numa/page-maps/resident-pages.ts';
import { ADDRESS_UNIT_BYTES } from '../../numa/page-size.ts';
import type { SysFs } from '../../numa/sysfs.ts';
import type { PageRun } from './page-batches.ts';
import type { AreaRun } from './process-memory.ts';

/**
 * What of some areas of a process is in memory, in steps that may find nothing, so that others have their turn in between; nothing more once it has exited.
 * Throws SysFsError, SyscallError.
 */
export type FindResident = (pid: number, areas: readonly PageRun[]) => AsyncIterable<readonly PageRun[]>;

/** Less than half of it in memory, and large enough that looking costs less than naming each page. */
const SMALLEST_SPARSE_BYTES = 2 ** 21;
const SPARSE_SHARE = 0.5;

/** FindResident of the running kernel. */
export function hostResident({ root }: SysFs, pageBytes: number): FindResident {
  const resident = new ResidentPages({ root, pageBytes });
  const units = pageBytes / ADDRESS_UNIT_BYTES;
  return async function* find(pid, areas) {
    try {
      const pagemap = await PageFile.open(root, `/proc/${pid}/pagemap`);
      try {
        for (const area of areas) {
          const span = { startPage: area.startPage / units, endPage: area.endPage / units };
          for await (const { spans } of resident.find(pagemap, span)) {
            yield spans.map(({ startPage, endPage }) => ({
              ...area,
              startPage: startPage * units,
              endPage: endPage * units,
            }));
          }
        }
      } finally {
        await pagemap.close();
      }
    } catch (error) {
      if (!isExited(error)) throw error;
    }
  };
}

/**
 * The runs without the stretches where nothing is in memory, such as the terabytes that programs reserve. Asks `mayGoOn` between steps; false ends it.
 */
export async function* residentRuns(
  pid: number,
  runs: readonly AreaRun[],
  find: FindResident,
  mayGoOn: () => Promise<boolean>,
): AsyncGenerator<PageRun> {
  const sparse: AreaRun[] = [];
  for (const run of runs) {
    if (isSparse(run)) sparse.push(run);
    else yield run;
  }
  if (sparse.length === 0) return;
  for await (const found of find(pid, sparse)) {
    yield* found;
    if (!(await mayGoOn())) return;
  }
}

/** Hugetlb pages are few, and named one by one. */
function isSparse({ startPage, endPage, pageBytes, blockBytes, residentBytes }: AreaRun): boolean {
  const bytes = (endPage - startPage) * ADDRESS_UNIT_BYTES;
  return pageBytes < blockBytes && bytes > SMALLEST_SPARSE_BYTES && residentBytes < SPARSE_SHARE * bytes;
}
