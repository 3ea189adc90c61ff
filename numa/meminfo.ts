import { KernelFormatError } from './errors.ts';

/** Sizes of one node's memory, in bytes. */
export interface NodeMemory {
  readonly totalBytes: number;
  readonly freeBytes: number;
}

/**
 * Total and free memory of `/sys/devices/system/node/nodeN/meminfo` ("Node 0 MemTotal:  4286668 kB").
 * Throws KernelFormatError naming `path` when either line is missing or odd.
 */
export function parseNodeMeminfo(text: string, path: string): NodeMemory {
  return { totalBytes: field(text, 'MemTotal', path), freeBytes: field(text, 'MemFree', path) };
}

function field(text: string, name: string, path: string): number {
  const line = text.split('\n').find((candidate) => candidate.includes(` ${name}:`));
  const kibibytes = /:\s+(\d+) kB\s*$/.exec(line ?? '')?.[1];
  if (kibibytes === undefined) throw new KernelFormatError(path, line ?? text, `a line "Node N ${name}: <number> kB"`);
  return Number(kibibytes) * 1024;
}
