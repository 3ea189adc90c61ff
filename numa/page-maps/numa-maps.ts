import { KernelFormatError } from '../errors.ts';

/** How many pages of one mapped area lie on which node. */
export interface AreaPlacement {
  /** Where the area begins, in ADDRESS_UNIT_BYTES: the key to the same area in /proc/PID/maps. */
  readonly startPage: number;
  /** Size of what the area is counted and moved in: the kernel's pages, transparent huge pages too, or its hugetlb pages. */
  readonly pageBytes: number;
  /** Pages by node id; only what is mapped in now. */
  readonly pagesByNode: ReadonlyMap<number, number>;
}

/**
 * The areas of /proc/PID/numa_maps. Words this program does not need are skipped; file names hold no blank and no `=` here,
 * because the kernel escapes them. An area that does not say so has pages of `kernelPageBytes`. Throws KernelFormatError naming `path`. Man page: proc_pid_numa_maps(5).
 */
export function parseNumaMaps(text: string, kernelPageBytes: number, path: string): readonly AreaPlacement[] {
  return text.split('\n').flatMap((line) => (line === '' ? [] : [parseArea(line, kernelPageBytes, path)]));
}

function parseArea(line: string, kernelPageBytes: number, path: string): AreaPlacement {
  const [address = '', ...words] = line.split(' ');
  if (!/^[0-9a-f]+$/.test(address)) throw new KernelFormatError(path, line, 'lines "address policy word=number ..."');
  const pagesByNode = new Map<number, number>();
  let pageBytes = kernelPageBytes;
  for (const word of words) {
    const [, node, pages] = /^N(\d+)=(\d+)$/.exec(word) ?? [];
    if (node !== undefined) pagesByNode.set(Number(node), Number(pages));
    const kib = /^kernelpagesize_kB=(\d+)$/.exec(word)?.[1];
    if (kib !== undefined) pageBytes = Number(kib) * 1024;
  }
  // Without its last three digits, the byte in the page, an address fits a double on every machine.
  return { startPage: Number.parseInt(address.slice(0, -3) || '0', 16), pageBytes, pagesByNode };
}
