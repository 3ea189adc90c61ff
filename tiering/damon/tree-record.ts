import { SysFsError } from '../../numa/sysfs.ts';
import type { DamonAdmin } from './admin.ts';
import { KDAMONDS } from './admin.ts';
import { makesChildren } from './tree.ts';

/** Values of the files below the kdamonds folder, by relative path: what an operator or a tool had set. */
export type TreeRecord = Readonly<Record<string, string>>;

/** Files and folders that the kernel fills: they say nothing of settings and cannot be written back. */
const OUTPUTS: ReadonlySet<string> = new Set(['state', 'pid', 'avail_operations', 'effective_bytes', 'tried_regions']);

/** Records every setting below the kdamonds folder. Files that cannot be read are left out. */
export async function recordTree(admin: DamonAdmin): Promise<TreeRecord> {
  const record: Record<string, string> = {};
  await recordFolder(admin, '', record);
  return record;
}

async function recordFolder(admin: DamonAdmin, folder: string, record: Record<string, string>): Promise<void> {
  const path = folder === '' ? KDAMONDS : `${KDAMONDS}/${folder}`;
  const folders = new Set(await admin.sysfs.directories(path));
  const isOfStats = folder.endsWith('/stats');
  for (const name of await admin.list(folder)) {
    if (OUTPUTS.has(name) || (isOfStats && name !== 'max_nr_snapshots')) continue;
    const child = folder === '' ? name : `${folder}/${name}`;
    if (folders.has(name)) {
      await recordFolder(admin, child, record);
      continue;
    }
    try {
      const value = await admin.readIfPresent(child);
      if (value !== undefined) record[child] = value;
    } catch (error) {
      if (!(error instanceof SysFsError)) throw error;
    }
  }
}

/** A setting that could not be put back. */
export interface RestoreFailure {
  readonly path: string;
  readonly value: string;
  readonly reason: string;
}

/**
 * Puts a recorded tree back: first nr_kdamonds, which drops everything that is there, then level by level the folders and
 * their values. Best effort file by file; what failed is returned. No kdamond may run.
 */
export async function restoreTree(admin: DamonAdmin, record: TreeRecord): Promise<readonly RestoreFailure[]> {
  const failures: RestoreFailure[] = [];
  for (const path of Object.keys(record).sort(parentsFirst)) {
    const value = record[path];
    if (value === undefined) continue;
    try {
      // Fresh folders hold defaults: most values need no write, and some read-only ones take none.
      if (path !== 'nr_kdamonds' && (await admin.readIfPresent(path)) === value) continue;
      await admin.write(path, value);
    } catch (error) {
      failures.push({ path, value, reason: error instanceof Error ? error.message : String(error) });
    }
  }
  return failures;
}

function parentsFirst(left: string, right: string): number {
  const depth = left.split('/').length - right.split('/').length;
  if (depth !== 0) return depth;
  return Number(makesChildren(right)) - Number(makesChildren(left)) || (left < right ? -1 : 1);
}
