import type { SysFs } from '../../numa/sysfs.ts';
import type { DamonFeatures } from '../scheme.ts';
import type { AdminOptions } from './admin.ts';
import { DamonAdmin } from './admin.ts';
import { DamonUnavailableError, DamonUnsupportedError } from './errors.ts';
import { recordTree, restoreTree } from './tree-record.ts';

/** DamonFeatures and what else the driver wants to know. */
export interface ProbedFeatures extends DamonFeatures {
  /** False when nothing could be tried, and only files that happen to be there were looked at. */
  readonly complete: boolean;
  /** Names that a scheme's `action` accepts. */
  readonly actions: readonly string[];
  /** Names that a filter's `type` accepts. */
  readonly filterTypes: readonly string[];
  /** Schemes tell which regions they were tried on (`tried_regions`, 6.2). Only told: the access trace is there on every kernel, and cheaper. */
  readonly triedRegions: boolean;
}

export interface ProbeOptions extends AdminOptions {
  /** May nr_kdamonds be written for a while? Only when no kdamond runs; what was there is put back. */
  readonly scratchAllowed: boolean;
  /** For tests: names of features, actions, filters, metrics or trace events to pretend absent. */
  readonly mask?: readonly string[];
}

const ACTIONS = [
  'willneed',
  'cold',
  'pageout',
  'hugepage',
  'nohugepage',
  'collapse',
  'lru_prio',
  'lru_deprio',
  'migrate_hot',
  'migrate_cold',
  'stat',
] as const;
const OPERATIONS_FILTERS = ['anon', 'active', 'memcg', 'young', 'hugepage_size', 'unmapped'] as const;
const CORE_FILTERS = ['addr', 'target'] as const;
const GOAL_METRICS = [
  'user_input',
  'some_mem_psi_us',
  'node_mem_used_bp',
  'node_mem_free_bp',
  'node_memcg_used_bp',
  'node_memcg_free_bp',
  'active_mem_bp',
  'inactive_mem_bp',
  'node_eligible_mem_bp',
] as const;
const GOAL_TUNERS = ['consist', 'temporal'] as const;
const TRACE_EVENTS = '/sys/kernel/tracing/events/damon';
const DAMON_STAT_ENABLED = '/sys/module/damon_stat/parameters/enabled';

/**
 * Finds what this kernel's DAMON can do by trying its files, never by its version: distributions backport. Names are tried in
 * a scratch kdamond directory when that is allowed; else conclusions are drawn from the files that are there.
 * Throws DamonUnavailableError, SysFsError, DamonBusyError.
 */
export async function probeFeatures(sysfs: SysFs, options: ProbeOptions): Promise<ProbedFeatures> {
  const admin = new DamonAdmin(sysfs, options);
  if (!(await admin.available())) throw new DamonUnavailableError();
  const scheme = options.scratchAllowed ? await probeScratch(admin) : await lookAtExisting(admin);
  const features = {
    ...scheme,
    migrateActions: scheme.actions.includes('migrate_hot') && scheme.actions.includes('migrate_cold'),
    youngFilter: scheme.filterTypes.includes('young'),
    memcgFilter: scheme.filterTypes.includes('memcg'),
    traceEvents: await sysfs.directories(TRACE_EVENTS),
    damonStat: (await sysfs.readIfPresent(DAMON_STAT_ENABLED)) !== undefined,
  };
  return maskFeatures(features, options.mask ?? []);
}

type SchemeFeatures = Omit<
  ProbedFeatures,
  'migrateActions' | 'youngFilter' | 'memcgFilter' | 'traceEvents' | 'damonStat'
>;

async function probeScratch(admin: DamonAdmin): Promise<SchemeFeatures> {
  const before = await recordTree(admin);
  try {
    await admin.write('nr_kdamonds', '1');
    await admin.write('0/contexts/nr_contexts', '1');
    await admin.write('0/contexts/0/schemes/nr_schemes', '1');
    const folder = '0/contexts/0/schemes/0';
    const layout = await lookAtScheme(admin, folder);
    const actions = await accepted(admin, `${folder}/action`, ACTIONS);
    const goals = `${folder}/quotas/goals`;
    const hasGoals = (await admin.list(goals)).includes('nr_goals');
    if (hasGoals) await admin.write(`${goals}/nr_goals`, '1');
    // Before `target_metric` (6.9) goals were of one kind: what the user says.
    const goalMetrics = !hasGoals
      ? []
      : (await admin.has(`${goals}/0`, 'target_metric'))
        ? await accepted(admin, `${goals}/0/target_metric`, GOAL_METRICS)
        : ['user_input'];
    const goalTuners = (await admin.has(`${folder}/quotas`, 'goal_tuner'))
      ? await accepted(admin, `${folder}/quotas/goal_tuner`, GOAL_TUNERS)
      : [];
    const filters = layout.splitFilters
      ? { folder: `${folder}/ops_filters`, types: OPERATIONS_FILTERS }
      : { folder: `${folder}/filters`, types: [...OPERATIONS_FILTERS, ...CORE_FILTERS] };
    let filterTypes: readonly string[] = [];
    let allowFilters = false;
    if (await admin.has(filters.folder, 'nr_filters')) {
      await admin.write(`${filters.folder}/nr_filters`, '1');
      allowFilters = await admin.has(`${filters.folder}/0`, 'allow');
      filterTypes = await accepted(admin, `${filters.folder}/0/type`, filters.types);
      if (layout.splitFilters) {
        await admin.write(`${folder}/core_filters/nr_filters`, '1');
        const core = await accepted(admin, `${folder}/core_filters/0/type`, CORE_FILTERS);
        filterTypes = [...filterTypes, ...core];
      }
    }
    return { ...layout, complete: true, actions, filterTypes, allowFilters, goalMetrics, goalTuners };
  } finally {
    await restoreTree(admin, before);
  }
}

async function accepted(admin: DamonAdmin, path: string, names: readonly string[]): Promise<readonly string[]> {
  const taken: string[] = [];
  for (const name of names) if (await admin.accepts(path, name)) taken.push(name);
  return taken;
}

interface SchemeLayout {
  readonly filters: boolean;
  readonly applyInterval: boolean;
  readonly splitFilters: boolean;
  readonly addrUnit: boolean;
  readonly maxPasses: boolean;
  readonly filterPassedBytes: boolean;
  readonly effectiveBytes: boolean;
  readonly commitsTargetNid: boolean;
  readonly triedRegions: boolean;
}

async function lookAtScheme(admin: DamonAdmin, folder: string): Promise<SchemeLayout> {
  const files = await admin.list(folder);
  const context = folder.slice(0, folder.indexOf('/schemes/'));
  return {
    filters: files.includes('filters') || files.includes('ops_filters'),
    applyInterval: files.includes('apply_interval_us'),
    splitFilters: files.includes('ops_filters'),
    addrUnit: await admin.has(context, 'addr_unit'),
    maxPasses: await admin.has(`${folder}/stats`, 'max_nr_snapshots'),
    filterPassedBytes: await admin.has(`${folder}/stats`, 'sz_ops_filter_passed'),
    effectiveBytes: await admin.has(`${folder}/quotas`, 'effective_bytes'),
    commitsTargetNid: files.includes('dests'),
    triedRegions: files.includes('tried_regions'),
  };
}

/** Reads only: a scheme's folder of whoever owns it tells the layout, and each layout what came with it or before. */
async function lookAtExisting(admin: DamonAdmin): Promise<SchemeFeatures> {
  for (const index of (await admin.list('')).filter((name) => /^\d+$/.test(name))) {
    const folder = `${index}/contexts/0/schemes/0`;
    const files = await admin.list(folder);
    if (files.length === 0) continue;
    const layout = await lookAtScheme(admin, folder);
    const migrates = files.includes('target_nid');
    const filters = `${folder}/${layout.splitFilters ? 'ops_filters' : 'filters'}`;
    const hasFilters = (await admin.list(filters)).includes('nr_filters');
    return {
      ...layout,
      complete: false,
      actions: migrates ? ['migrate_hot', 'migrate_cold', 'stat'] : ['stat'],
      // The young filter is older than the migrations.
      filterTypes: hasFilters ? ['memcg', ...(migrates ? ['young'] : [])] : [],
      allowFilters: layout.splitFilters || (await admin.list(`${filters}/0`)).includes('allow'),
      goalMetrics: [],
      goalTuners: [],
    };
  }
  return {
    complete: false,
    actions: [],
    filterTypes: [],
    filters: false,
    applyInterval: false,
    splitFilters: false,
    allowFilters: false,
    addrUnit: false,
    maxPasses: false,
    filterPassedBytes: false,
    effectiveBytes: false,
    commitsTargetNid: false,
    triedRegions: false,
    goalMetrics: [],
    goalTuners: [],
  };
}

/** The same features without those named; how kernels that no distribution offers are tried. */
export function maskFeatures(features: ProbedFeatures, mask: readonly string[]): ProbedFeatures {
  const hidden = new Set(mask);
  const known = new Set([
    ...Object.keys(features),
    ...[...ACTIONS, ...OPERATIONS_FILTERS, ...CORE_FILTERS, ...GOAL_METRICS, ...GOAL_TUNERS, ...features.traceEvents],
  ]);
  for (const name of hidden) if (!known.has(name)) throw new RangeError(`there is no feature "${name}" to mask`);
  const shown = (names: readonly string[]): readonly string[] => names.filter((name) => !hidden.has(name));
  const actions = shown(features.actions);
  const filterTypes = shown(features.filterTypes);
  return {
    complete: features.complete,
    actions,
    filterTypes,
    migrateActions:
      features.migrateActions &&
      !hidden.has('migrateActions') &&
      !hidden.has('migrate_hot') &&
      !hidden.has('migrate_cold'),
    youngFilter: features.youngFilter && !hidden.has('youngFilter') && !hidden.has('young'),
    memcgFilter: features.memcgFilter && !hidden.has('memcgFilter') && !hidden.has('memcg'),
    filters: features.filters && !hidden.has('filters'),
    applyInterval: features.applyInterval && !hidden.has('applyInterval'),
    allowFilters: features.allowFilters && !hidden.has('allowFilters'),
    splitFilters: features.splitFilters && !hidden.has('splitFilters'),
    addrUnit: features.addrUnit && !hidden.has('addrUnit'),
    maxPasses: features.maxPasses && !hidden.has('maxPasses'),
    filterPassedBytes: features.filterPassedBytes && !hidden.has('filterPassedBytes'),
    effectiveBytes: features.effectiveBytes && !hidden.has('effectiveBytes'),
    commitsTargetNid: features.commitsTargetNid && !hidden.has('commitsTargetNid'),
    triedRegions: features.triedRegions && !hidden.has('triedRegions'),
    traceEvents: shown(features.traceEvents),
    goalMetrics: shown(features.goalMetrics),
    goalTuners: shown(features.goalTuners),
    damonStat: features.damonStat && !hidden.has('damonStat'),
  };
}

/** Throws DamonUnsupportedError unless DAMON can migrate. */
export function requireMigration(features: ProbedFeatures): void {
  if (features.migrateActions) return;
  throw new DamonUnsupportedError(
    `engine damos needs migrate_hot and migrate_cold (Linux 6.11): this kernel's DAMON takes only ${
      features.actions.length === 0 ? 'what could not be probed' : features.actions.join(', ')
    }; use engine move_pages, or a newer kernel`,
  );
}
