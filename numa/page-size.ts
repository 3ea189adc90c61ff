import type { NodeMemory } from './meminfo.ts';
import type { Zone } from './zoneinfo.ts';

/**
 * What virtual addresses are counted in beyond one process's page map: the smallest page of any kernel, so that every page begins at a whole number, and
 * small enough a number to fit a double where a byte address may not.
 */
export const ADDRESS_UNIT_BYTES = 4096;

/** What is cut at multiples of this is cut between pages on every kernel. */
export const LARGEST_PAGE_BYTES = 65_536;

/** Size of a transparent huge page, and what it is aligned to: a page of page table entries of 8 bytes each. */
export function hugePageBytes(pageBytes: number): number {
  return (pageBytes / 8) * pageBytes;
}

/**
 * The kernel's page size in bytes. No text file states it: a node's MemTotal is the pages its zones manage, so the two give
 * it. The smallest where there is nothing to compare.
 */
export function pageSizeFrom(memory: ReadonlyMap<number, NodeMemory>, zones: readonly Zone[]): number {
  for (const [nodeId, { totalBytes }] of memory) {
    const pages = zones
      .filter((zone) => zone.nodeId === nodeId)
      .reduce((sum, { managedPages }) => sum + managedPages, 0);
    // The nearest power of two: hot-plug between the two readings must not matter.
    if (totalBytes > 0 && pages > 0) return 2 ** Math.round(Math.log2(totalBytes / pages));
  }
  return ADDRESS_UNIT_BYTES;
}
