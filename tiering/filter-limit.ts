import type { CgroupScope } from './scheme.ts';

/** Filters of a kind in one scheme (or, where filters only reject, schemes of one direction): more would make every pass slow. */
const MAX_MEMCG_FILTERS = 256;

/**
 * Of the cgroups in scope those that DAMON's schemes get a filter for: of those included the first, so those named before those below them. When not all that
 * are excluded get one, nothing is in scope.
 */
export function withinFilterLimit({ include, exclude }: CgroupScope): CgroupScope {
  if (exclude.length > MAX_MEMCG_FILTERS) return { include: [], exclude: [] };
  return { include: include === 'all' ? include : include.slice(0, MAX_MEMCG_FILTERS), exclude };
}

/** What that leaves out, and the way out, for people; undefined: nothing. */
export function describeLeftOut({ include, exclude }: CgroupScope): string | undefined {
  const parts = [
    { what: 'included', count: include === 'all' ? 0 : include.length, meaning: 'memory of the others is not moved' },
    { what: 'excluded', count: exclude.length, meaning: 'nothing is promoted or demoted' },
  ].filter(({ count }) => count > MAX_MEMCG_FILTERS);
  if (parts.length === 0) return undefined;
  const told = parts.map(
    ({ what, count, meaning }) => `${count} cgroups are ${what}, DAMON's schemes take ${MAX_MEMCG_FILTERS}: ${meaning}`,
  );
  return `${told.join('; ')}; name cgroups with fewer below them, or use engine move_pages, which has no such limit`;
}
