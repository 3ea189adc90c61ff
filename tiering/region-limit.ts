import type { DesiredKdamond } from './scheme.ts';

/** Kdamonds as they can be watched on this host, and what had to be less than asked for. */
export interface LimitedKdamonds {
  readonly kdamonds: readonly DesiredKdamond[];
  /** In words; undefined: nothing had to be. */
  readonly limit: string | undefined;
}

/** Watches in no more regions than the kernel's trace buffers hold of one kdamond. */
export function limitRegions(desired: readonly DesiredKdamond[], mostRegions: number): LimitedKdamonds {
  const tooMany = desired.filter(({ maxRegions }) => maxRegions > mostRegions);
  if (tooMany.length === 0) return { kdamonds: desired, limit: undefined };
  const asked = Math.max(...tooMany.map(({ maxRegions }) => maxRegions));
  const nodes = `node${tooMany.length === 1 ? '' : 's'} ${tooMany.map(({ nodeId }) => nodeId).join(', ')}`;
  return {
    kdamonds: desired.map((kdamond) => ({
      ...kdamond,
      minRegions: Math.min(kdamond.minRegions, mostRegions),
      maxRegions: Math.min(kdamond.maxRegions, mostRegions),
    })),
    limit:
      `${nodes} watched in at most ${mostRegions} regions instead of ${asked}: ` +
      "with this many CPUs the kernel's trace buffers (64 MiB in all) hold no more",
  };
}
