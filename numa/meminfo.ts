import { KernelFormatError } from './errors.ts';

/** Sizes of one node's memory, in bytes. */
export interface NodeMemory {
  readonly totalBytes: number;
  readonly freeBytes: number;
  /** On the kernel's lists of memory that programs and files use, which can move; undefined when it does not say. */
  readonly movableBytes?: number;
}

const LISTS = ['Active', 'Inactive', 'Unevictable'];

/**
 * Total and free memory of `/sys/devices/system/node/nodeN/meminfo` ("Node 0 MemTotal:  4286668 kB").
 * Throws KernelFormatError naming `path` when either line is missing or odd.
 */
export function parseNodeMeminfo(text: string, path: string): NodeMemory {
  const lists = LISTS.map((name) => kibibytesOf(lineOf(text, name)));
  const isComplete = lists.every((kibibytes) => kibibytes !== undefined);
  const movable = lists.reduce<number>((total, kibibytes) => total + (kibibytes ?? 0), 0);
  return {
    totalBytes: field(text, 'MemTotal', path),
    freeBytes: field(text, 'MemFree', path),
    ...(isComplete && { movableBytes: movable * 1024 }),
  };
}

function field(text: string, name: string, path: string): number {
  const line = lineOf(text, name);
  const kibibytes = kibibytesOf(line);
  if (kibibytes === undefined) throw new KernelFormatError(path, line ?? text, `a line "Node N ${name}: <number> kB"`);
  return kibibytes * 1024;
}

function lineOf(text: string, name: string): string | undefined {
  return text.split('\n').find((candidate) => candidate.includes(` ${name}:`));
}

function kibibytesOf(line: string | undefined): number | undefined {
  const digits = /:\s+(\d+) kB\s*$/.exec(line ?? '')?.[1];
  return digits === undefined ? undefined : Number(digits);
}
