import type { RunningKdamond } from './damon/driver.ts';
import type { QuotasByScheme } from './effective-quotas.ts';
import type { SchemeStats } from './scheme.ts';
import type { KdamondView } from './service.ts';
import type { NodeSnapshot } from './snapshot.ts';

/** What was last seen of each node. */
interface Seen {
  readonly stats: ReadonlyMap<number, readonly SchemeStats[]>;
  readonly snapshots: ReadonlyMap<number, NodeSnapshot>;
  readonly effectiveQuotas: { get(nodeId: number): QuotasByScheme | undefined };
}

/** The kdamonds that tierd runs, with their schemes and what these have done. Pure. */
export function kdamondViews(kdamonds: readonly RunningKdamond[], seen: Seen): readonly KdamondView[] {
  return kdamonds.map(({ index, pid, desired }) => {
    const stats = seen.stats.get(desired.nodeId);
    const quotas = seen.effectiveQuotas.get(desired.nodeId);
    return {
      index,
      pid,
      nodeId: desired.nodeId,
      samplingIntervalUs: desired.samplingIntervalUs,
      aggregationIntervalUs: desired.aggregationIntervalUs,
      minRegions: desired.minRegions,
      maxRegions: desired.maxRegions,
      nrRegions: seen.snapshots.get(desired.nodeId)?.regions.length ?? 0,
      schemes: desired.schemes.map((scheme, position) => {
        const own = stats?.[position];
        const effectiveQuotaBytes = quotas?.get(scheme.name);
        return {
          index: position,
          scheme,
          ...(own && { stats: own }),
          ...(effectiveQuotaBytes !== undefined && { effectiveQuotaBytes }),
        };
      }),
    };
  });
}
