import { CGROUP_MOUNT } from '../numa/cgroups.ts';
import type { CgroupScope } from './scheme.ts';

/** An entry of `cgroups.include` or `cgroups.exclude` that no cgroup matches. */
export interface UnmatchedCgroup {
  readonly list: 'include' | 'exclude';
  readonly path: string;
  /** One that is there and is likely meant. */
  readonly meant?: string;
}

/** The cgroups in scope, and what of the policy matches none. */
export interface ResolvedScope extends CgroupScope {
  readonly unmatched: readonly UnmatchedCgroup[];
  /** False: the policy names cgroups, and this host has none of version 2. */
  readonly isSupported: boolean;
}

/** Before it is known. */
export const NO_SCOPE: ResolvedScope = { include: [], exclude: [], unmatched: [], isSupported: true };

/** What of the policy's cgroups matches nothing, and what that means, for people; undefined: all of it matches. */
export function describeUnmatched({ include, unmatched, isSupported }: ResolvedScope): string | undefined {
  if (!isSupported) {
    return `cgroups.include and cgroups.exclude need cgroups of version 2, and ${CGROUP_MOUNT} is none: nothing is promoted or demoted`;
  }
  const named = (list: UnmatchedCgroup['list']) =>
    unmatched
      .filter((entry) => entry.list === list)
      .map(({ path, meant }) => `"${path}"${meant === undefined ? '' : ` (is "${meant}" meant?)`}`)
      .join(', ');
  const [included, excluded] = [named('include'), named('exclude')];
  const parts = [
    ...(included === ''
      ? []
      : [
          `cgroups.include: no cgroup matches ${included}: ${include.length === 0 ? 'nothing is promoted or demoted until one does' : 'only memory of the others is moved'}`,
        ]),
    ...(excluded === '' ? [] : [`cgroups.exclude: no cgroup matches ${excluded}: nothing is left out by it`]),
  ];
  return parts.length === 0 ? undefined : parts.join('; ');
}

/** True when two scopes hold the same cgroups and lack the same ones. */
export function sameScope(a: ResolvedScope, b: ResolvedScope): boolean {
  return JSON.stringify(a) === JSON.stringify(b);
}
