import { loadSyscalls } from './library.ts';
import { mapMemory } from './mapped-memory.ts';

/** What a scan has found, in pages: a page number fits a double where a byte address may not. */
export interface ScannedPages {
  /** Stretches of pages in memory, ascending and apart; `endPage` is the first one after them. */
  readonly spans: readonly { readonly startPage: number; readonly endPage: number }[];
  /** The scan came to here: less far than asked for when there was more to tell than fits one answer. */
  readonly nextPage: number;
}

interface ScanRequest {
  /** Of an open /proc/PID/pagemap. */
  readonly fd: number;
  readonly startPage: number;
  readonly endPage: number;
  readonly pageBytes: number;
}

/**
 * Which pages of a stretch are in memory; without their frames. Never on the event loop's thread. Throws SyscallError: ENOTTY before Linux 6.7, or for a
 * file that is no page map.
 */
export type PagemapScan = (request: ScanRequest) => Promise<ScannedPages>;

/** _IOWR('f', 16, struct pm_scan_arg) of include/uapi/linux/fs.h. */
const PAGEMAP_SCAN = 0xc0606610;
const PAGE_IS_PRESENT = 1 << 3;
/** struct pm_scan_arg: twelve 64-bit numbers, here the places of those used; the others are 0. */
const ARG = { size: 0, start: 2, end: 3, regions: 5, regionsLength: 6, mask: 9, returnMask: 11 } as const;
const ARG_WORDS = 12;
const ARG_BYTES = ARG_WORDS * 8;
/** struct page_region: start, end, categories. */
const REGION_WORDS = 3;
const REGION_BYTES = REGION_WORDS * 8;
/** Bounds one answer to 48 KiB. */
const MAX_REGIONS = 2048;
const HIGH_WORD = 2 ** 32;

let loading: Promise<PagemapScan> | undefined;

/**
 * The PAGEMAP_SCAN ioctl of the running kernel, one call at a time. It steps over page tables that are not there, so that a terabyte with one page in use
 * takes as long as that page. Throws SyscallsUnavailableError.
 *
 *     int ioctl(int fd, unsigned long request, struct pm_scan_arg *arg);
 */
export function hostPagemapScan(): Promise<PagemapScan> {
  loading ??= load();
  return loading;
}

async function load(): Promise<PagemapScan> {
  const ioctl = (await loadSyscalls()).declare('ioctl', ['int', 'ulong', 'ulong']);
  // The kernel is told the address of the answer, which memory of JavaScript's has none of.
  const { address, buffer } = await mapMemory(ARG_BYTES + MAX_REGIONS * REGION_BYTES);
  const words = new Uint32Array(buffer);
  // Addresses are multiples of the page size, and so exact beyond 2^53.
  const set = (word: number, value: number) => {
    words[2 * word] = value;
    words[2 * word + 1] = value / HIGH_WORD;
  };
  const get = (word: number) => (words[2 * word + 1] ?? 0) * HIGH_WORD + (words[2 * word] ?? 0);
  let underWay: Promise<unknown> = Promise.resolve();

  const call = async ({ fd, startPage, endPage, pageBytes }: ScanRequest): Promise<ScannedPages> => {
    words.fill(0, 0, 2 * ARG_WORDS);
    set(ARG.size, ARG_BYTES);
    set(ARG.start, startPage * pageBytes);
    set(ARG.end, endPage * pageBytes);
    set(ARG.regions, address + ARG_BYTES);
    set(ARG.regionsLength, MAX_REGIONS);
    set(ARG.mask, PAGE_IS_PRESENT);
    set(ARG.returnMask, PAGE_IS_PRESENT);
    const described = `PAGEMAP_SCAN, ${endPage - startPage} pages`;
    const count = await ioctl.callAsync([fd, PAGEMAP_SCAN, address], described);
    const spans = Array.from({ length: count }, (_, index) => {
      const region = ARG_WORDS + index * REGION_WORDS;
      return { startPage: get(region) / pageBytes, endPage: get(region + 1) / pageBytes };
    });
    // Not walk_end: kernels leave it at where their own buffer was last full, before regions that they tell of.
    return { spans, nextPage: count < MAX_REGIONS ? endPage : (spans.at(-1)?.endPage ?? endPage) };
  };

  return (request) => {
    const result = underWay.then(() => call(request));
    underWay = result.catch(() => undefined);
    return result;
  };
}
