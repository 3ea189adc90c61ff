import { inBatches } from './batches.ts';
import { NumaUnavailableError } from './errors.ts';
import { parseHex } from './numbers.ts';
import type { SysFs } from './sysfs.ts';

/** An online memory block, the unit of memory hot-plug. */
export interface MemoryBlock {
  readonly index: number;
  readonly start: number;
  readonly end: number;
}

/** Size of every memory block, in bytes. Throws NumaUnavailableError, SysFsError, KernelFormatError. Kernel document: admin-guide/mm/memory-hotplug. */
export async function readBlockSize(sysfs: SysFs): Promise<number> {
  const path = '/sys/devices/system/memory/block_size_bytes';
  const text = await sysfs.readIfPresent(path);
  if (text === undefined) throw new NumaUnavailableError(path, 'CONFIG_MEMORY_HOTPLUG');
  return parseHex(text, path);
}

/**
 * Online memory blocks of a node. The links in the node's folder stay when a block goes offline, so each block's state is
 * read; a block that vanishes meanwhile counts as offline.
 */
export async function readOnlineBlocks(
  sysfs: SysFs,
  nodeId: number,
  blockSizeBytes: number,
): Promise<readonly MemoryBlock[]> {
  const names = await sysfs.list(`/sys/devices/system/node/node${nodeId}`);
  const indexes = names.flatMap((name) => /^memory(\d+)$/.exec(name)?.[1] ?? []).map(Number);
  const blocks = await inBatches(indexes, async (index) => {
    const state = await sysfs.readIfPresent(`/sys/devices/system/memory/memory${index}/state`);
    const start = index * blockSizeBytes;
    return state === 'online' ? { index, start, end: start + blockSizeBytes } : undefined;
  });
  return blocks.filter((block) => block !== undefined).sort((a, b) => a.index - b.index);
}
