import { constants } from 'node:os';
import { SyscallError } from '../../../../numa/syscalls/errors.ts';
import type { MovePages, MovePagesRequest } from '../../../../numa/syscalls/move-pages.ts';
import type { SysFs } from '../../../../numa/sysfs.ts';
import { SysFsError } from '../../../../numa/sysfs.ts';
import type { JobClock } from '../../../../tiering/jobs/job-clock.ts';
import type { Moment } from '../../../../tiering/jobs/job-record.ts';
import type { PageRun } from '../../../../tiering/jobs/page-batches.ts';
import type { FindResident } from '../../../../tiering/jobs/resident-runs.ts';
import { Serial } from '../../../../tiering/serial.ts';

export const MIB = 1024 * 1024;
const PAGES_PER_MIB = 256;
const HUGE_PAGES = 512;

const EACCES = -13;
const EBUSY = -16;
const ENOENT = -2;

/** `huge`: transparent huge pages; `hugetlb`: counted and moved by their first page. Both of 512 pages. */
type PageKind = 'small' | 'huge' | 'hugetlb';

interface FakeArea {
  readonly startPage: number;
  readonly pages: number;
  readonly kind: PageKind;
}

/** A process of the fake machine: where each of its pages is. */
export class FakeProcess {
  readonly pid: number;
  readonly areas: FakeArea[] = [];
  readonly nodeOf = new Map<number, number>();
  /** Pages that are in use, and for how many tries more. */
  readonly busyTimes = new Map<number, number>();
  /** Pages that the kernel refuses with EACCES. */
  readonly shared = new Set<number>();
  startTime = 4711;
  /** start_code of its program. */
  codeStart = 4096;
  /** Its cpuset forbids every node to go to. */
  isConfined = false;
  /** End of each line of maps: what is mapped. */
  name = '';
  /** Instead of its numa_maps. */
  oddNumaMaps: string | undefined;
  cgroup = '/';
  /** Still in the process table, but without memory. */
  isZombie = false;

  /** Of a page, in the units that addresses are counted in. */
  readonly #units: number;

  constructor(pid: number, pageBytes: number) {
    this.pid = pid;
    this.#units = pageBytes / 4096;
  }

  /** Maps memory that lies on one node. */
  map(startPage: number, mib: number, nodeId: number, kind: PageKind = 'small'): this {
    const pages = mib * PAGES_PER_MIB;
    this.areas.push({ startPage, pages, kind });
    for (let page = startPage; page < startPage + pages; page += this.#units) this.nodeOf.set(page, nodeId);
    return this;
  }

  /** Address space without memory. */
  reserve(startPage: number, mib: number): this {
    this.areas.push({ startPage, pages: mib * PAGES_PER_MIB, kind: 'small' });
    return this;
  }

  bytesOn(nodeId: number): number {
    return [...this.nodeOf.values()].filter((node) => node === nodeId).length * this.#units * 4096;
  }

  /** True for a part of a huge page. */
  isWhole(page: number): boolean {
    const area = this.areas.find(({ startPage, pages }) => page >= startPage && page < startPage + pages);
    return area !== undefined && area.kind !== 'small';
  }

  maps(): string {
    return this.areas
      .map(
        ({ startPage, pages }) =>
          `${address(startPage)}-${address(startPage + pages)} rw-p 00000000 00:00 0 ${this.name}\n`,
      )
      .join('');
  }

  numaMaps(): string {
    if (this.oddNumaMaps !== undefined) return this.oddNumaMaps;
    return this.areas
      .map((area) => {
        const counts = new Map<number, number>();
        const step = area.kind === 'hugetlb' ? HUGE_PAGES : this.#units;
        for (let page = area.startPage; page < area.startPage + area.pages; page += step) {
          const node = this.nodeOf.get(page);
          if (node !== undefined) counts.set(node, (counts.get(node) ?? 0) + 1);
        }
        const words = [...counts].map(([node, count]) => ` N${node}=${count}`).join('');
        return `${address(area.startPage)} default anon=1${words} kernelpagesize_kB=${4 * step}\n`;
      })
      .join('');
  }
}

function address(page: number): string {
  return `${page.toString(16).padStart(9, '0')}000`;
}

/** Two nodes and some processes, behind the files and the system call that migrations use. Time passes only in sleeps. */
export class FakeMachine {
  readonly processes = new Map<number, FakeProcess>();
  readonly freeBytes = new Map([
    [0, 1024 * MIB],
    [1, 1024 * MIB],
  ]);
  readonly highWatermarkBytes = 4 * MIB;
  readonly cgroups = new Set(['/']);
  /** Those that hold threads of the processes above them. */
  readonly threadedCgroups = new Set<string>();
  /** Calls that were to move, in order. */
  readonly moves: MovePagesRequest[] = [];
  readonly queries: MovePagesRequest[] = [];
  /** Runs after each moving call. */
  afterMove: (nrMoves: number) => void = () => undefined;
  nowMs = 0;
  /** Out of memory as a whole, with nothing moved, from this moving call on. */
  outOfMemoryFrom = Number.POSITIVE_INFINITY;

  constructor(pageBytes = 4096) {
    this.pageBytes = pageBytes;
  }

  add(pid: number, cgroup = '/'): FakeProcess {
    const process = new FakeProcess(pid, this.pageBytes);
    process.cgroup = cgroup;
    this.cgroups.add(cgroup);
    this.processes.set(pid, process);
    return process;
  }

  /** As after wait(2) of its parent. */
  exit(pid: number): void {
    this.processes.delete(pid);
  }

  readonly pageBytes: number;
  readonly steps = new Serial();
  readonly pause = async () => undefined;
  /** Address space that was searched for pages in memory, in pages. */
  searchedPages = 0;

  readonly findResident: FindResident = (pid, areas) => this.#findResident(pid, areas);

  readonly clock: JobClock = {
    cpuMs: () => 0,
    now: (): Moment => ({ date: new Date(this.nowMs), monotonicMs: this.nowMs }),
    sleep: async (ms, signal) => {
      if (!signal.aborted) this.nowMs += ms;
      await new Promise((resolve) => setImmediate(resolve));
    },
  };

  readonly movePages: MovePages = async (request) => {
    // Other work has its turn, as during a real call.
    await new Promise((resolve) => setImmediate(resolve));
    const process = this.processes.get(request.pid);
    if (process === undefined) throw failure('ESRCH');
    if (process.isZombie) throw failure('EINVAL');
    const { targetNodeId } = request;
    if (targetNodeId === undefined) {
      this.queries.push(request);
      return Int32Array.from(request.pages, (page) => process.nodeOf.get(page) ?? ENOENT);
    }
    if (process.isConfined) throw failure('EACCES');
    this.moves.push({ ...request, pages: request.pages.slice() });
    if (this.moves.length >= this.outOfMemoryFrom) throw failure('ENOMEM');
    const statuses = this.#move(process, request.pages, targetNodeId);
    this.afterMove(this.moves.length);
    return statuses;
  };

  async *#findResident(pid: number, areas: readonly PageRun[]): AsyncGenerator<readonly PageRun[]> {
    const pages = [...(this.processes.get(pid)?.nodeOf.keys() ?? [])];
    for (const area of areas) {
      this.searchedPages += area.endPage - area.startPage;
      yield pages
        .filter((page) => page >= area.startPage && page < area.endPage)
        .map((page) => ({ ...area, startPage: page, endPage: page + this.pageBytes / 4096 }));
    }
  }

  /**
   * Like the kernel's do_pages_move(): pages are gathered until one cannot be, then moved together; when one of them stays, the
   * call ends there and leaves their statuses as they were.
   */
  #move(process: FakeProcess, pages: Float64Array, to: number): Int32Array {
    const statuses = new Int32Array(pages.length);
    let gathered: number[] = [];
    const flush = (): boolean => {
      const staying = gathered.filter((index) => !this.#migrate(process, pages[index] ?? 0, to));
      if (staying.length === 0) for (const index of gathered) statuses[index] = to;
      gathered = [];
      return staying.length === 0;
    };
    for (const [index, page] of pages.entries()) {
      const refusal = this.#refusal(
        process,
        page,
        to,
        gathered.map((other) => pages[other] ?? 0),
      );
      if (refusal === undefined) gathered.push(index);
      else {
        statuses[index] = refusal;
        if (!flush()) return statuses;
      }
    }
    flush();
    return statuses;
  }

  /** Why a page is not gathered, if so; of a huge page only one part is. */
  #refusal(process: FakeProcess, page: number, to: number, gathered: readonly number[]): number | undefined {
    const node = process.nodeOf.get(page);
    if (node === undefined) return ENOENT;
    if (node === to) return to;
    if (process.shared.has(page)) return EACCES;
    const sameHugePage = (other: number) => Math.floor(other / HUGE_PAGES) === Math.floor(page / HUGE_PAGES);
    return process.isWhole(page) && gathered.some(sameHugePage) ? EBUSY : undefined;
  }

  #migrate(process: FakeProcess, page: number, to: number): boolean {
    const busyTimes = process.busyTimes.get(page) ?? 0;
    process.busyTimes.set(page, busyTimes - 1);
    if (busyTimes > 0) return false;
    const isWhole = process.isWhole(page);
    const first = isWhole ? Math.floor(page / HUGE_PAGES) * HUGE_PAGES : page;
    for (let part = first; part < first + (isWhole ? HUGE_PAGES : 1); part++) this.#place(process, part, to);
    return true;
  }

  #place(process: FakeProcess, page: number, to: number): void {
    const from = process.nodeOf.get(page);
    if (from === undefined) return;
    process.nodeOf.set(page, to);
    this.freeBytes.set(from, (this.freeBytes.get(from) ?? 0) + this.pageBytes);
    this.freeBytes.set(to, (this.freeBytes.get(to) ?? 0) - this.pageBytes);
  }

  readonly sysfs: SysFs = {
    root: '/',
    read: async (path) => this.#readNow(path),
    readNow: (path) => this.#readNow(path),
    readIfPresent: async (path) => this.#file(path)?.trim(),
    list: async (path) => (this.cgroups.has(cgroupOf(path)) ? ['cgroup.procs'] : []),
    directories: async (path) => {
      const prefix = cgroupOf(path) === '/' ? '/' : `${cgroupOf(path)}/`;
      const below = [...this.cgroups].filter((cgroup) => cgroup.startsWith(prefix) && cgroup !== prefix);
      return [...new Set(below.map((cgroup) => cgroup.slice(prefix.length).split('/')[0] ?? ''))].sort();
    },
    inode: async () => undefined,
    folderStamp: () => undefined,
    link: async () => undefined,
    write: async () => undefined,
    makeDirectory: async () => undefined,
  };

  #readNow(path: string): string {
    const text = this.#file(path);
    if (text === undefined) throw new SysFsError('read', path, Object.assign(new Error(), { code: 'ENOENT' }));
    return text;
  }

  #file(path: string): string | undefined {
    if (path === '/proc/zoneinfo') return this.#zoneinfo();
    const node = /^\/sys\/devices\/system\/node\/node(\d+)\/meminfo$/.exec(path)?.[1];
    if (node !== undefined) return this.#meminfo(Number(node));
    if (path.endsWith('/cgroup.type')) {
      return this.threadedCgroups.has(cgroupOf(path.replace(/\/cgroup\.type$/, ''))) ? 'threaded\n' : 'domain\n';
    }
    if (path.startsWith('/sys/fs/cgroup')) {
      const cgroup = cgroupOf(path.replace(/\/cgroup\.procs$/, ''));
      if (this.threadedCgroups.has(cgroup)) {
        throw new SysFsError('read', path, Object.assign(new Error(), { code: 'ENOTSUP' }));
      }
      const inside = [...this.processes.values()].filter((process) => process.cgroup === cgroup);
      return this.cgroups.has(cgroup) ? inside.map(({ pid }) => `${pid}\n`).join('') : undefined;
    }
    const [, pid, name] = /^\/proc\/(\d+)\/(\w+)$/.exec(path) ?? [];
    const process = this.processes.get(Number(pid));
    if (process === undefined) return undefined;
    const hasMemory = !process.isZombie;
    switch (name) {
      case 'stat':
        // pid (name) state, then fields 4 to 24: flags are 9, the start time 22, resident pages 24.
        return `${pid} (a) b) S 1 1 1 0 -1 0 ${'0 '.repeat(12)}${process.startTime} 0 ${hasMemory ? process.nodeOf.size : 0} 1 ${process.codeStart} 2 3\n`;
      case 'maps':
        return hasMemory ? process.maps() : '';
      case 'numa_maps':
        return hasMemory ? process.numaMaps() : '';
      default:
        return undefined;
    }
  }

  #meminfo(nodeId: number): string | undefined {
    const free = this.freeBytes.get(nodeId);
    if (free === undefined) return undefined;
    return `Node ${nodeId} MemTotal: ${2 ** 21} kB\nNode ${nodeId} MemFree: ${free / 1024} kB\n`;
  }

  #zoneinfo(): string {
    const zone = (nodeId: number): string =>
      [
        `Node ${nodeId}, zone   Normal`,
        `        high     ${this.highWatermarkBytes / this.pageBytes}`,
        `        spanned  ${2 ** 31 / this.pageBytes}`,
        `        managed  ${2 ** 31 / this.pageBytes}`,
        '  start_pfn:           0',
      ].join('\n');
    return [...this.freeBytes.keys()].map(zone).join('\n');
  }
}

/** What move_pages(2) fails with as a whole. */
function failure(errno: keyof typeof constants.errno): SyscallError {
  return new SyscallError('move_pages', 'fake', constants.errno[errno]);
}

function cgroupOf(path: string): string {
  const cgroup = path.replace('/sys/fs/cgroup', '');
  return cgroup === '' ? '/' : cgroup;
}
