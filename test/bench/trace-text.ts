import type { AddressRange } from '../../numa/topology.ts';
import type { Region } from '../../tiering/snapshot.ts';

const PAGE_BYTES = 4096;

/** A node cut into `count` regions, of which `hotShare`, spread over it, are accessed all the time. */
export function syntheticRegions(
  range: AddressRange,
  count: number,
  hotShare: number,
  maxNrAccesses: number,
): Region[] {
  const step = Math.floor((range.end - range.start) / count / PAGE_BYTES) * PAGE_BYTES;
  return Array.from({ length: count }, (_, index) => {
    const start = range.start + index * step;
    const isHot = Math.floor((index + 1) * hotShare) > Math.floor(index * hotShare);
    return {
      start,
      end: index === count - 1 ? range.end : start + step,
      nrAccesses: isHot ? maxNrAccesses : 0,
      age: index % 997,
    };
  });
}

/** One aggregation as the kernel's trace_pipe tells it (Linux 6.12 and 7.3). */
export function aggregationText(pid: number, index: number, seconds: number, regions: readonly Region[]): string {
  const head = `       kdamond.${index}-${pid}     [001] ${seconds.toFixed(6).padStart(13)}: damon_aggregated: target_id=0 nr_regions=${regions.length}`;
  return regions.map(({ start, end, nrAccesses, age }) => `${head} ${start}-${end}: ${nrAccesses} ${age}\n`).join('');
}
