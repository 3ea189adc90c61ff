import type { CgroupScope } from './scheme.ts';

/** Filters of a kind in one scheme (or, where filters only reject, schemes of one direction): more would make every pass slow. */
const MAX_MEMCG_FILTERS = 256;

/** Of the cgroups in scope those that DAMON's schemes get a filter for: the first, so those named before those below them. */
export function withinFilterLimit({ include, exclude }: CgroupScope): CgroupScope {
  return { include: include.slice(0, MAX_MEMCG_FILTERS), exclude: exclude.slice(0, MAX_MEMCG_FILTERS) };
}

/** What that leaves out, and the way out, for people; undefined: nothing. */
export function describeLeftOut({ include, exclude }: CgroupScope): string | undefined {
  const parts = [
    { what: 'included', count: include.length, meaning: 'memory of the others is not moved' },
    { what: 'excluded', count: exclude.length, meaning: 'memory of the others may be moved all the same' },
  ].filter(({ count }) => count > MAX_MEMCG_FILTERS);
  if (parts.length === 0) return undefined;
  const told = parts.map(
    ({ what, count, meaning }) => `${count} cgroups are ${what}, DAMON's schemes take ${MAX_MEMCG_FILTERS}: ${meaning}`,
  );
  return `${told.join('; ')}; name cgroups with fewer below them, or use engine move_pages, which has no such limit`;
}
