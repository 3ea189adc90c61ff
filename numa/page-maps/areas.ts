import { KernelFormatError } from '../errors.ts';
import { ADDRESS_UNIT_BYTES } from '../page-size.ts';

/** Virtual pages of a process: `endPage` is the first one after them. Page numbers fit a double where byte addresses may not. */
export interface PageSpan {
  readonly startPage: number;
  readonly endPage: number;
}

/** A part of a process's address space that may hold pages worth moving. */
export interface Area extends PageSpan {
  /** Hash of what is mapped here (which file at which offset, or none), not of how: mprotect(2) changes no page frame. */
  readonly label: number;
}

/** No page of these can be moved: the kernel's own pages, shown to the process. */
const KERNEL_AREAS = new Set(['[vdso]', '[vsyscall]', '[uprobes]', '[sigpage]', '[vectors]']);
/** Below /dev, but memory like any other. */
const MEMORY_IN_DEV = ['/dev/shm/', '/dev/zero', '/dev/hugepages/', '/dev/hugepages-'];
/** A name may hold any character but a line feed, which the kernel escapes: carriage returns and U+2028 too, hence the flag. */
const LINE = /^([0-9a-f]+)-([0-9a-f]+) (....) ([0-9a-f]+) ([0-9a-f]+:[0-9a-f]+) (\d+) *(.*)$/s;

/**
 * The areas of /proc/PID/maps (proc_pid_maps(5)) whose pages may move, in order of address, neighbours that map the same
 * joined. Left out: areas without any access (reservations: reading a terabyte of them would take 2 GiB), the kernel's own
 * ([vdso], [vvar]), devices. Throws KernelFormatError naming the line.
 */
export function parseAreas(text: string, pageBytes: number, path: string): readonly Area[] {
  const areas: { startPage: number; endPage: number; label: number }[] = [];
  for (const line of text.split('\n')) {
    if (line === '') continue;
    const match = LINE.exec(line);
    if (match === null) throw new KernelFormatError(path, line, 'a line "start-end perms offset dev inode name"');
    const [, start = '', end = '', permissions = '', offset = '', device = '', inode = '', name = ''] = match;
    if (permissions.startsWith('---') || !mayMove(name)) continue;
    const startPage = pageNumber(start, pageBytes);
    const endPage = pageNumber(end, pageBytes);
    // A file's pages follow its offset, so that a mapping cut in two still maps the same.
    const origin = inode === '0' ? '' : `${startPage - pageNumber(offset, pageBytes)}`;
    const label = hash(`${device} ${inode} ${origin} ${name}`);
    const last = areas.at(-1);
    if (last !== undefined && last.endPage === startPage && last.label === label) last.endPage = endPage;
    else areas.push({ startPage, endPage, label });
  }
  return areas;
}

/** Where two lists of areas differ in what they map, in order of address. */
export function changedSpans(before: readonly Area[], after: readonly Area[]): readonly PageSpan[] {
  const changed: { startPage: number; endPage: number }[] = [];
  let i = 0;
  let j = 0;
  let page = 0;
  while (true) {
    const old = before[i];
    const now = after[j];
    if (old === undefined && now === undefined) return changed;
    // Up to `next` neither list changes.
    const oldHere = old !== undefined && old.startPage <= page;
    const nowHere = now !== undefined && now.startPage <= page;
    const next = Math.min(edge(old, oldHere), edge(now, nowHere));
    if (oldHere !== nowHere || (oldHere && nowHere && old.label !== now.label)) {
      const last = changed.at(-1);
      if (last !== undefined && last.endPage === page) last.endPage = next;
      else changed.push({ startPage: page, endPage: next });
    }
    page = next;
    if (old !== undefined && old.endPage <= page) i++;
    if (now !== undefined && now.endPage <= page) j++;
  }
}

/** Index of the first span that ends after `page`; the spans are in order and apart. */
export function firstEndingAfter(spans: readonly PageSpan[], page: number): number {
  let low = 0;
  let high = spans.length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    const span = spans[middle];
    if (span !== undefined && span.endPage <= page) low = middle + 1;
    else high = middle;
  }
  return low;
}

function edge(area: Area | undefined, inside: boolean): number {
  if (area === undefined) return Number.POSITIVE_INFINITY;
  return inside ? area.endPage : area.startPage;
}

function mayMove(name: string): boolean {
  if (name === '') return true;
  if (KERNEL_AREAS.has(name) || name.startsWith('[vvar')) return false;
  if (name.startsWith('/dev/')) return MEMORY_IN_DEV.some((prefix) => name.startsWith(prefix));
  // Rings and buffers of drivers.
  return !(name.startsWith('anon_inode:') || name.startsWith('/dmabuf:') || name.startsWith('socket:['));
}

/** Without the last three digits (ADDRESS_UNIT_BYTES) an address of 57 bits fits a double. */
function pageNumber(hex: string, pageBytes: number): number {
  const units = hex.length <= 3 ? 0 : Number.parseInt(hex.slice(0, -3), 16);
  return Math.floor(units / (pageBytes / ADDRESS_UNIT_BYTES));
}

/** FNV-1a. */
function hash(text: string): number {
  let value = 0x811c9dc5;
  for (let i = 0; i < text.length; i++) value = Math.imul(value ^ text.charCodeAt(i), 0x01000193);
  return value >>> 0;
}
