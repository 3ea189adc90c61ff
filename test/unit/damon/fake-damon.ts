import { readFileSync } from 'node:fs';
import type { SysFs } from '../../../numa/sysfs.ts';
import { SysFsError } from '../../../numa/sysfs.ts';

const KDAMONDS = '/sys/kernel/mm/damon/admin/kdamonds';
const STAT = '/sys/module/damon_stat/parameters/enabled';

interface Profile {
  readonly actions: readonly string[];
  readonly metrics: readonly string[];
  /** Filter folders of a scheme and the types that each takes. */
  readonly filters: Readonly<Record<string, readonly string[]>>;
  readonly contextFiles: Readonly<Record<string, string>>;
  readonly schemeFiles: Readonly<Record<string, string>>;
  readonly filterFiles: Readonly<Record<string, string>>;
  readonly goalFiles: Readonly<Record<string, string>>;
  readonly traceEvents: readonly string[];
  readonly damonStat: boolean;
  /** Writing `off` to what is off. */
  readonly offWhileOff: 'EPERM' | undefined;
  readonly commandWhileOff: 'EINVAL' | 'ECANCELED';
  /** A commit that the kernel does not like. */
  readonly badCommit: 'dies' | 'EINVAL';
}

const ACTIONS = ['willneed', 'cold', 'pageout', 'lru_prio', 'lru_deprio', 'migrate_hot', 'migrate_cold', 'stat'];

/** As seen in guests with Debian's kernels. */
const PROFILES: Readonly<Record<'6.12' | '7.3', Profile>> = {
  '6.12': {
    actions: ACTIONS,
    metrics: ['user_input', 'some_mem_psi_us'],
    filters: { filters: ['anon', 'memcg', 'young', 'addr', 'target'] },
    contextFiles: {},
    schemeFiles: {},
    filterFiles: { addr_start: '0', addr_end: '0' },
    goalFiles: {},
    traceEvents: ['damon_aggregated', 'damos_before_apply'],
    damonStat: false,
    offWhileOff: 'EPERM',
    commandWhileOff: 'EINVAL',
    badCommit: 'dies',
  },
  '7.3': {
    actions: [...ACTIONS, 'collapse'],
    metrics: ['user_input', 'some_mem_psi_us', 'node_mem_used_bp', 'node_mem_free_bp', 'node_eligible_mem_bp'],
    filters: {
      filters: ['anon', 'memcg', 'young', 'addr', 'target'],
      core_filters: ['addr', 'target'],
      ops_filters: ['anon', 'active', 'memcg', 'young', 'hugepage_size', 'unmapped'],
    },
    contextFiles: { addr_unit: '1', pause: 'N' },
    schemeFiles: {
      'dests/nr_dests': '0',
      'quotas/goal_tuner': 'consist',
      'stats/sz_ops_filter_passed': '0',
      'stats/nr_snapshots': '0',
      'stats/max_nr_snapshots': '0',
    },
    filterFiles: { addr_start: '0', addr_end: '0', allow: 'N' },
    goalFiles: { nid: '0' },
    traceEvents: ['damon_aggregated', 'damos_before_apply', 'damos_esz'],
    damonStat: true,
    offWhileOff: undefined,
    commandWhileOff: 'ECANCELED',
    badCommit: 'EINVAL',
  },
};

/** DAMON's sysfs in memory, with the rules of the kernel that the driver has to live with. */
export class FakeDamon implements SysFs {
  readonly root = '/fake';
  readonly files = new Map<string, string>();
  /** Every successful write, as `path=value`, DAMON's paths relative to the kdamonds folder. */
  readonly writes: string[] = [];
  /** The next so many accesses to state, pid and nr_* find the mutex taken. */
  busyAccesses = 0;
  /** Each fails one write that matches it; paths of DAMON relative to the kdamonds folder. */
  readonly failures: { readonly path: string | RegExp; readonly value?: string; readonly errno: string }[] = [];
  /** The next commit is one that the kernel does not like. */
  badCommit = false;
  readonly #profile: Profile;
  #nextPid = 100;

  constructor(kernel: '6.12' | '7.3') {
    this.#profile = PROFILES[kernel];
    this.files.set(`${KDAMONDS}/nr_kdamonds`, '0');
    this.files.set('/proc/sys/kernel/random/boot_id', 'boot-one');
    for (const event of this.#profile.traceEvents) {
      this.files.set(`/sys/kernel/tracing/events/damon/${event}/enable`, '0');
    }
    for (const name of [
      'header_page',
      'header_event',
      'damon/damon_aggregated/format',
      'damon/damos_before_apply/format',
    ]) {
      this.files.set(`/sys/kernel/tracing/events/${name}`, recordedTraceFile(kernel, name));
    }
    this.files.set('/sys/devices/system/cpu/online', '0-1');
    if (this.#profile.damonStat) this.files.set(STAT, 'Y');
  }

  /** A value below the kdamonds folder. */
  value(path: string): string | undefined {
    return this.files.get(`${KDAMONDS}/${path}`);
  }

  /** What stands below the kdamonds folder, apart from what the kernel fills. */
  tree(): Readonly<Record<string, string>> {
    const paths = [...this.files.keys()].filter((path) => path.startsWith(`${KDAMONDS}/`)).sort();
    return Object.fromEntries(paths.map((path) => [path.slice(KDAMONDS.length + 1), this.files.get(path) ?? '']));
  }

  pid(index: number): number {
    return Number(this.value(`${index}/pid`));
  }

  /** The kdamond ends, as after an error or by another's hand. */
  kill(index: number): void {
    this.files.delete(`/proc/${this.pid(index)}/comm`);
    this.#set(`${index}/state`, 'off');
    this.#set(`${index}/pid`, '-1');
  }

  async read(path: string): Promise<string> {
    return this.readNow(path);
  }

  readNow(path: string): string {
    this.#lock('read', path);
    const value = this.files.get(path);
    if (value === undefined) throw failure('read', path, this.#isFolder(path) ? 'EISDIR' : 'ENOENT');
    return `${value}\n`;
  }

  async readIfPresent(path: string): Promise<string | undefined> {
    if (!this.files.has(path)) return undefined;
    return (await this.read(path)).trim();
  }

  async list(path: string): Promise<readonly string[]> {
    return this.#children(path).map(({ name }) => name);
  }

  async directories(path: string): Promise<readonly string[]> {
    return this.#children(path).flatMap(({ name, folder }) => (folder ? [name] : []));
  }

  async inode(): Promise<number | undefined> {
    return undefined;
  }

  folderStamp(path: string): string | undefined {
    return this.#isFolder(path) ? this.#children(path).join(' ') : undefined;
  }

  async link(): Promise<string | undefined> {
    return undefined;
  }

  async makeDirectory(path: string): Promise<void> {
    for (const cpu of ['cpu0', 'cpu1']) this.files.set(`${path}/per_cpu/${cpu}/trace_pipe_raw`, '');
    for (const file of ['trace_clock', 'buffer_size_kb', 'set_event_pid']) {
      this.files.set(`${path}/${file}`, '');
    }
    for (const event of this.#profile.traceEvents) this.files.set(`${path}/events/damon/${event}/enable`, '0');
  }

  async write(path: string, value: string): Promise<void> {
    this.#lock('write', path);
    const failing = this.failures.findIndex((candidate) => isMeant(candidate, path.replace(`${KDAMONDS}/`, ''), value));
    if (failing >= 0) {
      const [{ errno } = { errno: 'EIO' }] = this.failures.splice(failing, 1);
      throw failure('write', path, errno, value);
    }
    if (!this.files.has(path)) throw failure('write', path, 'ENOENT', value);
    if (path === STAT && value === 'Y' && this.#anyOn()) throw failure('write', path, 'EBUSY', value);
    if (path.startsWith(`${KDAMONDS}/`)) this.#writeDamon(path.slice(KDAMONDS.length + 1), value);
    else this.files.set(path, value);
    this.writes.push(`${path.startsWith(KDAMONDS) ? path.slice(KDAMONDS.length + 1) : path}=${value}`);
  }

  #writeDamon(path: string, value: string): void {
    const parts = path.split('/');
    const name = parts.at(-1) ?? '';
    const folder = parts.slice(0, -1).join('/');
    if (name.startsWith('nr_') && name !== 'nr_snapshots') this.#makeChildren(folder, name, value);
    else if (parts.length === 2 && name === 'state') this.#command(Number(parts[0]), value);
    else if (name === 'action') this.#oneOf(path, value, this.#profile.actions);
    else if (name === 'target_metric') this.#oneOf(path, value, this.#profile.metrics);
    else if (name === 'goal_tuner') this.#oneOf(path, value, ['consist', 'temporal']);
    else if (name === 'type') this.#oneOf(path, value, this.#profile.filters[parts.at(-3) ?? ''] ?? []);
    else if (
      ['pid', 'avail_operations', 'effective_bytes'].includes(name) ||
      (folder.endsWith('/stats') && name !== 'max_nr_snapshots')
    ) {
      throw failure('write', path, 'EIO', value);
    } else this.#set(path, value);
  }

  #oneOf(path: string, value: string, known: readonly string[]): void {
    if (!known.includes(value)) throw failure('write', path, 'EINVAL', value);
    this.#set(path, value);
  }

  #command(index: number, command: string): void {
    const on = this.value(`${index}/state`) === 'on';
    const path = `${index}/state`;
    switch (command) {
      case 'on':
        if (on || this.files.get(STAT) === 'Y') throw failure('write', path, 'EBUSY', command);
        if (this.value(`${index}/contexts/0/operations`) !== 'paddr') throw failure('write', path, 'EINVAL', command);
        this.#set(path, 'on');
        this.#set(`${index}/pid`, String(this.#nextPid));
        this.files.set(`/proc/${this.#nextPid}/comm`, `kdamond.${index}`);
        this.#nextPid += 1;
        return;
      case 'off':
        if (!on && this.#profile.offWhileOff !== undefined) {
          throw failure('write', path, this.#profile.offWhileOff, command);
        }
        if (on) this.kill(index);
        return;
      case 'commit':
      case 'update_schemes_stats':
      case 'update_schemes_effective_quotas':
        if (!on) throw failure('write', path, this.#profile.commandWhileOff, command);
        if (command === 'commit' && this.badCommit) {
          this.badCommit = false;
          if (this.#profile.badCommit === 'EINVAL') throw failure('write', path, 'EINVAL', command);
          this.kill(index);
        }
        if (command === 'update_schemes_effective_quotas') this.#tellEffectiveQuotas(index);
        return;
      default:
        throw failure('write', path, 'EINVAL', command);
    }
  }

  /** Without goals and time quotas they are what was asked for. */
  #tellEffectiveQuotas(index: number): void {
    const asked = new RegExp(`^${KDAMONDS}/${index}/contexts/0/schemes/\\d+/quotas/bytes$`);
    for (const [file, text] of this.files) {
      if (asked.test(file)) this.files.set(file.replace(/bytes$/, 'effective_bytes'), text);
    }
  }

  #makeChildren(folder: string, name: string, value: string): void {
    const path = folder === '' ? name : `${folder}/${name}`;
    if (name === 'nr_kdamonds' && this.#anyOn()) throw failure('write', path, 'EBUSY', value);
    const count = Number(value);
    if (!Number.isInteger(count) || (name === 'nr_contexts' && count > 1)) {
      throw failure('write', path, 'EINVAL', value);
    }
    const numbered = new RegExp(`^${KDAMONDS}/${folder === '' ? '' : `${folder}/`}\\d+/`);
    for (const file of [...this.files.keys()]) if (numbered.test(file)) this.files.delete(file);
    this.#set(path, value);
    for (let index = 0; index < count; index += 1) {
      for (const [file, text] of Object.entries(this.#template(name))) {
        this.#set(`${folder === '' ? '' : `${folder}/`}${index}/${file}`, text);
      }
    }
  }

  /** What the kernel puts into each folder that a `nr_*` file makes. */
  #template(name: string): Readonly<Record<string, string>> {
    switch (name) {
      case 'nr_kdamonds':
        return { state: 'off', pid: '-1', 'contexts/nr_contexts': '0' };
      case 'nr_contexts':
        return {
          avail_operations: 'vaddr\nfvaddr\npaddr',
          operations: 'vaddr',
          'monitoring_attrs/intervals/sample_us': '5000',
          'monitoring_attrs/intervals/aggr_us': '100000',
          'monitoring_attrs/intervals/update_us': '60000000',
          'monitoring_attrs/nr_regions/min': '10',
          'monitoring_attrs/nr_regions/max': '1000',
          'targets/nr_targets': '0',
          'schemes/nr_schemes': '0',
          ...this.#profile.contextFiles,
        };
      case 'nr_targets':
        return { pid_target: '0', 'regions/nr_regions': '0' };
      case 'nr_regions':
        return { start: '0', end: '0' };
      case 'nr_schemes':
        return this.#schemeTemplate();
      case 'nr_goals':
        return { target_metric: 'user_input', target_value: '0', current_value: '0', ...this.#profile.goalFiles };
      case 'nr_filters':
        return { type: 'anon', matching: 'N', memcg_path: '', ...this.#profile.filterFiles };
      default:
        return {};
    }
  }

  #schemeTemplate(): Readonly<Record<string, string>> {
    const bounds = ['sz', 'nr_accesses', 'age'].flatMap((what) => [
      [`access_pattern/${what}/min`, '0'],
      [`access_pattern/${what}/max`, '0'],
      [`quotas/weights/${what}_permil`, '0'],
    ]);
    const stats = ['nr_tried', 'sz_tried', 'nr_applied', 'sz_applied', 'qt_exceeds'].map((what) => [
      `stats/${what}`,
      '0',
    ]);
    const filters = Object.keys(this.#profile.filters).map((folder) => [`${folder}/nr_filters`, '0']);
    return {
      action: 'stat',
      target_nid: '-1',
      apply_interval_us: '0',
      'quotas/ms': '0',
      'quotas/bytes': '0',
      'quotas/reset_interval_ms': '0',
      'quotas/effective_bytes': '0',
      'quotas/goals/nr_goals': '0',
      'tried_regions/total_bytes': '0',
      ...Object.fromEntries([...bounds, ...stats, ...filters]),
      ...this.#profile.schemeFiles,
    };
  }

  #anyOn(): boolean {
    return Object.entries(this.tree()).some(([path, value]) => path.endsWith('/state') && value === 'on');
  }

  #lock(operation: 'read' | 'write', path: string): void {
    if (this.busyAccesses === 0 || !/\/(state|pid|nr_[a-z]+)$/.test(path)) return;
    this.busyAccesses -= 1;
    throw failure(operation, path, 'EBUSY');
  }

  #set(path: string, value: string): void {
    this.files.set(`${KDAMONDS}/${path}`, value);
  }

  #isFolder(path: string): boolean {
    return [...this.files.keys()].some((file) => file.startsWith(`${path}/`));
  }

  #children(path: string): readonly { readonly name: string; readonly folder: boolean }[] {
    const found = new Map<string, boolean>();
    for (const file of this.files.keys()) {
      if (!file.startsWith(`${path}/`)) continue;
      const rest = file.slice(path.length + 1);
      const slash = rest.indexOf('/');
      found.set(slash < 0 ? rest : rest.slice(0, slash), slash >= 0);
    }
    return [...found].map(([name, folder]) => ({ name, folder })).sort((a, b) => (a.name < b.name ? -1 : 1));
  }
}

function isMeant(wanted: FakeDamon['failures'][number], path: string, value: string): boolean {
  const isPath = typeof wanted.path === 'string' ? wanted.path === path : wanted.path.test(path);
  return isPath && (wanted.value === undefined || wanted.value === value);
}

function failure(operation: 'read' | 'write', path: string, errno: string, value?: string): SysFsError {
  return new SysFsError(operation, path, Object.assign(new Error(errno), { code: errno }), value);
}

/** What a guest of this kernel has below events/. */
function recordedTraceFile(kernel: '6.12' | '7.3', name: string): string {
  const file = new URL(`../../fixtures/${kernel}-numa2/sys/kernel/tracing/events/${name}`, import.meta.url);
  return readFileSync(file, 'utf8');
}
