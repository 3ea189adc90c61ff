import type { MemoryNode } from './topology.ts';

/** What tells the kind of a node's memory. */
export type MemoryKindFacts = Pick<MemoryNode, 'kind' | 'driver'>;

/** Drivers that add memory for programs to use; others, such as a GPU's, add their device's own. */
const ordinaryDrivers: ReadonlySet<string> = new Set(['kmem', 'virtio_mem']);

/** Memory that a device's driver made a node of: the device wants it for itself. */
export function isDeviceMemory({ kind, driver }: MemoryKindFacts): boolean {
  return kind === 'memory-only' && driver !== undefined && !ordinaryDrivers.has(driver);
}

/** CXL memory, and memory that was set aside as a dax device, are slower than DRAM whatever is told of their speed. */
export function isSlowByKind({ kind, driver }: MemoryKindFacts): boolean {
  return kind === 'cxl' || (kind === 'memory-only' && driver === 'kmem');
}
