import { CgroupIndex } from '../numa/cgroup-index.ts';
import { CGROUP_MOUNT, cgroupAbove, isCgroup } from '../numa/cgroups.ts';
import type { SysFs } from '../numa/sysfs.ts';
import type { Policy } from './policy.ts';
import type { ResolvedScope, UnmatchedCgroup } from './resolved-scope.ts';

const LOOK_EVERY_MS = 5_000;
const LOOK_AT_LEAST_EVERY_MS = 30_000;
/** With tens of thousands of cgroups looks are rarer, so that they stay below a hundredth of a core. */
const MS_PER_LOOK_MS = 100;

/**
 * The policy's cgroups with all that live below them now, since a memcg filter matches exactly one cgroup. Cgroups that do not exist are left out: the kernel
 * refuses a filter for them (ENOMEM), and they join as soon as they are made. Where nobody's memory can be told from another's, none is in scope.
 */
export class ScopeResolver {
  readonly #sysfs: SysFs;
  readonly #nowMs: () => number;
  readonly #indexes: { readonly include: CgroupIndex; readonly exclude: CgroupIndex };
  #dueAtMs = 0;

  /** @param nowMs CLOCK_MONOTONIC in milliseconds */
  constructor(sysfs: SysFs, nowMs: () => number) {
    this.#sysfs = sysfs;
    this.#nowMs = nowMs;
    this.#indexes = { include: new CgroupIndex(sysfs), exclude: new CgroupIndex(sysfs) };
  }

  /** Whether it is time to look again. */
  get isDue(): boolean {
    return this.#nowMs() >= this.#dueAtMs;
  }

  /** Throws SysFsError. */
  async resolve({ include, exclude }: Policy['cgroups']): Promise<ResolvedScope> {
    const startedMs = this.#nowMs();
    const scope = await this.#resolve(include, exclude);
    const tookMs = this.#nowMs() - startedMs;
    const pauseMs = Math.min(LOOK_AT_LEAST_EVERY_MS, Math.max(LOOK_EVERY_MS, MS_PER_LOOK_MS * tookMs));
    this.#dueAtMs = startedMs + pauseMs;
    return scope;
  }

  async #resolve(include: readonly string[], exclude: readonly string[]): Promise<ResolvedScope> {
    if (include.length + exclude.length === 0) {
      return { include: 'all', exclude: [], unmatched: [], isSupported: true };
    }
    // Version 1 has folders of the same names one level deeper, which a filter does not know.
    if (!(await this.#sysfs.list(CGROUP_MOUNT)).includes('cgroup.controllers')) {
      return { include: [], exclude: [], unmatched: [], isSupported: false };
    }
    const included = await this.#below('include', include);
    const excluded = await this.#below('exclude', exclude);
    return {
      include: include.length === 0 ? 'all' : included.paths,
      exclude: excluded.paths,
      unmatched: [...included.unmatched, ...excluded.unmatched],
      isSupported: true,
    };
  }

  async #below(list: UnmatchedCgroup['list'], entries: readonly string[]) {
    const roots: string[] = [];
    const unmatched: UnmatchedCgroup[] = [];
    for (const entry of entries) {
      const path = withoutSpareSlashes(entry);
      if (await isCgroup(this.#sysfs, path)) {
        roots.push(path);
        continue;
      }
      const meant = await this.#meant(path);
      unmatched.push({ list, path: entry, ...(meant !== undefined && { meant }) });
    }
    return { paths: await this.#indexes[list].below(roots), unmatched };
  }

  /** systemd writes some characters as \x2d and the like, which YAML in double quotes, or a shell, has turned back. */
  async #meant(path: string): Promise<string | undefined> {
    const above = cgroupAbove(path);
    if (above === undefined) return undefined;
    const parent = (await isCgroup(this.#sysfs, above)) ? above : await this.#meant(above);
    if (parent === undefined) return undefined;
    const wanted = unescaped(path.slice(path.lastIndexOf('/') + 1));
    const name = (await this.#sysfs.directories(CGROUP_MOUNT + parent)).find((name) => unescaped(name) === wanted);
    return name === undefined ? undefined : `${parent === '/' ? '' : parent}/${name}`;
  }
}

function withoutSpareSlashes(path: string): string {
  return `/${path
    .split('/')
    .filter((part) => part !== '' && part !== '.')
    .join('/')}`;
}

function unescaped(name: string): string {
  return name.replaceAll(/\\x([0-9a-f]{2})/g, (_, hex: string) => String.fromCharCode(Number.parseInt(hex, 16)));
}
