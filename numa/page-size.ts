import type { NodeMemory } from './meminfo.ts';
import type { Zone } from './zoneinfo.ts';

/**
 * The kernel's page size in bytes. No text file states it: a node's MemTotal is the pages its zones manage, so the two give
 * it. 4096 where there is nothing to compare.
 */
export function pageSizeFrom(memory: ReadonlyMap<number, NodeMemory>, zones: readonly Zone[]): number {
  for (const [nodeId, { totalBytes }] of memory) {
    const pages = zones
      .filter((zone) => zone.nodeId === nodeId)
      .reduce((sum, { managedPages }) => sum + managedPages, 0);
    // The nearest power of two: hot-plug between the two readings must not matter.
    if (totalBytes > 0 && pages > 0) return 2 ** Math.round(Math.log2(totalBytes / pages));
  }
  return 4096;
}
