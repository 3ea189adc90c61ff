import type { SysFs } from '../../numa/sysfs.ts';
import type { DamonAdmin, KdamondState } from './admin.ts';
import type { ForeignKdamond } from './errors.ts';
import { ExclusiveModuleError, ForeignKdamondError } from './errors.ts';
import type { Receipt, ReceiptKdamond } from './receipt.ts';
import type { FileWrite } from './tree.ts';
import { kdamondWrites } from './tree.ts';

/** Runs DAMON exclusively for statistics only; on by default where it is built (6.17). */
export const DAMON_STAT_ENABLED = '/sys/module/damon_stat/parameters/enabled';

/** Modules that run DAMON exclusively to act on memory: an operator chose them, so tierd does not switch them off. */
const ACTING_MODULES = [
  'damon_reclaim',
  'damon_lru_sort',
  'damon_sample_mtier',
  'damon_sample_prcl',
  'damon_sample_wsse',
] as const;

/** Throws ForeignKdamondError when a kdamond runs that is none of `ours` (pids). */
export async function refuseForeignKdamonds(admin: DamonAdmin, ours: ReadonlySet<number>): Promise<void> {
  const running = (await admin.states()).filter((state) => state.on);
  const foreign = running.filter((state) => state.pid === undefined || !ours.has(state.pid));
  if (foreign.length === 0) return;
  const details: ForeignKdamond[] = [];
  for (const state of foreign) details.push(await describe(admin, state));
  throw new ForeignKdamondError(details);
}

async function describe(admin: DamonAdmin, state: KdamondState): Promise<ForeignKdamond> {
  const context = `${state.index}/contexts/0`;
  const numberIn = async (path: string): Promise<number | undefined> => {
    const text = await admin.readIfPresent(path);
    return text === undefined ? undefined : Number(text);
  };
  const actions: string[] = [];
  for (const scheme of (await admin.list(`${context}/schemes`)).filter((name) => /^\d+$/.test(name))) {
    const action = await admin.readIfPresent(`${context}/schemes/${scheme}/action`);
    if (action !== undefined) actions.push(action);
  }
  const samplingIntervalUs = await numberIn(`${context}/monitoring_attrs/intervals/sample_us`);
  const aggregationIntervalUs = await numberIn(`${context}/monitoring_attrs/intervals/aggr_us`);
  return {
    index: state.index,
    pid: state.pid ?? -1,
    operations: (await admin.readIfPresent(`${context}/operations`)) ?? 'unknown operations',
    actions,
    ...(samplingIntervalUs === undefined ? {} : { samplingIntervalUs }),
    ...(aggregationIntervalUs === undefined ? {} : { aggregationIntervalUs }),
  };
}

/**
 * Throws ExclusiveModuleError when DAMON_RECLAIM, DAMON_LRU_SORT or a sample module runs, or DAMON_STAT does and may not be
 * switched off.
 */
export async function refuseExclusiveModules(sysfs: SysFs, mayStopDamonStat: boolean): Promise<void> {
  const on: string[] = [];
  for (const module of ACTING_MODULES) {
    const path = `/sys/module/${module}/parameters/enabled`;
    if ((await sysfs.readIfPresent(path)) === 'Y') on.push(path);
  }
  if (on.length > 0) throw new ExclusiveModuleError(on, `Switch it off first: echo N > ${on[0]}`);
  if (!mayStopDamonStat && (await sysfs.readIfPresent(DAMON_STAT_ENABLED)) === 'Y') {
    throw new ExclusiveModuleError(
      [DAMON_STAT_ENABLED],
      `Switch it off (echo N > ${DAMON_STAT_ENABLED}), boot with damon_stat.enabled=N, or allow tierd to do it while it runs`,
    );
  }
}

/** How a kdamond of the receipt is found again. */
export interface FoundKdamond {
  readonly entry: ReceiptKdamond;
  /** Absent when it no longer runs. */
  readonly pid?: number;
  /** Values of the files that tierd wrote, as they are now: an operator or tool may have changed them. */
  readonly files: ReadonlyMap<string, string>;
}

/**
 * Looks for the kdamonds of a receipt among the running ones. A pid counts only with the name the kernel gives to kdamonds, as
 * pids are reused. A kdamond that was being switched on when tierd died (pid 0) is ours when its files say what we wrote.
 */
export async function findOwnKdamonds(admin: DamonAdmin, receipt: Receipt): Promise<readonly FoundKdamond[]> {
  const found: FoundKdamond[] = [];
  for (const entry of receipt.kdamonds) {
    const state = await admin.state(entry.index);
    const wanted = receipt.features === undefined ? [] : kdamondWrites(entry.index, entry.desired, receipt.features);
    const files = new Map<string, string>();
    for (const { path } of wanted) {
      const value = await admin.readIfPresent(path);
      if (value !== undefined) files.set(path, value);
    }
    const ours =
      state.pid !== undefined &&
      (entry.pid === 0 ? saysTheSame(files, wanted) : entry.pid === state.pid) &&
      (await isKdamond(admin.sysfs, state.pid));
    found.push(ours && state.pid !== undefined ? { entry, pid: state.pid, files } : { entry, files });
  }
  return found;
}

/** Regions are cut finer while a kdamond starts. */
function saysTheSame(files: ReadonlyMap<string, string>, wanted: readonly FileWrite[]): boolean {
  return wanted.every(({ path, value }) => path.includes('/regions/') || files.get(path) === value);
}

async function isKdamond(sysfs: SysFs, pid: number): Promise<boolean> {
  return (await sysfs.readIfPresent(`/proc/${pid}/comm`))?.startsWith('kdamond') ?? false;
}
