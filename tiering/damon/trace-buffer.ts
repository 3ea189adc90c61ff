import type { TraceLayout } from './trace-format.ts';

/** Of all CPUs together, unless a few pages each are more; a kdamond runs on any of them, so each needs a buffer. */
const LARGEST_TOTAL_BYTES = 64 * 1024 * 1024;
/** Aggregations of all kdamonds that may wait to be read. */
const AGGREGATIONS_KEPT = 4;
/** Beside those that hold regions: one that begins in the middle, one that is being written over, and the reader's own. */
const SPARE_PAGES = 3;
const ENTRY_HEADER_BYTES = 4;
const SMALLEST_BUFFER_PAGES = 32;
/** DAMON may exceed its most regions for a while. */
const EXCESS = 1.1;

/** Regions that one page holds. */
function regionsOfPage({ page, aggregated }: TraceLayout): number {
  const entryBytes = Math.ceil((ENTRY_HEADER_BYTES + aggregated.sizeBytes) / 4) * 4;
  return Math.max(1, Math.floor((page.pageBytes - page.dataOffset) / entryBytes));
}

function pagesOf(regions: number, layout: TraceLayout): number {
  return Math.ceil((regions * EXCESS) / regionsOfPage(layout)) + SPARE_PAGES;
}

function largestPages(cpus: number, { page }: TraceLayout): number {
  return Math.max(SPARE_PAGES + 1, Math.floor(LARGEST_TOTAL_BYTES / page.pageBytes / Math.max(1, cpus)));
}

/** Most regions of one kdamond whose aggregation the buffer of any of so many CPUs holds, within the bound on all together. */
export function mostRegionsTraced(cpus: number, layout: TraceLayout): number {
  return Math.floor(((largestPages(cpus, layout) - SPARE_PAGES) * regionsOfPage(layout)) / EXCESS);
}

/**
 * Size of the buffer of each CPU in KiB: room for a few aggregations of all kdamonds, less on machines of many CPUs, but always one whole aggregation of one
 * kdamond, which is written in one go. For up to `mostRegionsTraced` it stays within the bound.
 */
export function traceBufferKib(maxRegions: number, kdamonds: number, cpus: number, layout: TraceLayout): number {
  const wanted = pagesOf(maxRegions * kdamonds * AGGREGATIONS_KEPT, layout);
  const bounded = Math.min(Math.max(SMALLEST_BUFFER_PAGES, wanted), largestPages(cpus, layout));
  // The kernel adds the reader's page.
  const pages = Math.max(pagesOf(maxRegions, layout), bounded) - 1;
  return Math.floor((pages * (layout.page.pageBytes - layout.page.dataOffset)) / 1024);
}
