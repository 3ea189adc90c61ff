import { setImmediate } from 'node:timers/promises';
import type { SysFs } from '../sysfs.ts';
import { SysFsError } from '../sysfs.ts';
import type { AddressRange } from '../topology.ts';
import { AddressSpace } from './address-space.ts';
import { PageMapsUnavailableError } from './errors.ts';
import type { PageRun } from './extent-store.ts';
import { ExtentStore } from './extent-store.ts';
import type { Candidate, RankedProcess } from './order.ts';
import { rankByYield } from './order.ts';
import { ProcessReader } from './process-reader.ts';
import type { UserProcess } from './processes.ts';
import { isExited, isOfOneProcess, userProcesses } from './processes.ts';

export type { PageRun } from './extent-store.ts';

export interface PageMapsOptions {
  readonly sysfs: SysFs;
  readonly pageBytes: number;
  /** Memory for what is known, in bytes (ExtentStore says how much that is); default 64 MiB. One read (512 KiB) may exceed it. */
  readonly maxBytes?: number;
}

export interface RefreshOptions {
  /** Physical addresses in bytes. */
  readonly wanted: readonly AddressRange[];
  /** Only these processes; by default all but our own. */
  readonly pids?: ReadonlySet<number> | undefined;
  /** The clock by which ages are told. */
  readonly nowMs: number;
  readonly maxAgeMs: number;
  /** Time to work for, pauses included; one read (some milliseconds) may exceed it. */
  readonly budgetMs: number;
  /** Called before what was read is looked at: waits for as long as others shall have the processor. `underWay` ends when no other thread reads any more. */
  readonly pause?: ((underWay: Promise<unknown>) => Promise<void>) | undefined;
  /** Waits for the turn, which comes when the refreshes before this one have ended. */
  readonly waitFor?: ((turn: Promise<unknown>) => Promise<unknown>) | undefined;
  readonly signal?: AbortSignal | undefined;
}

/**
 * Why a process is not up to date: `exited` or runs another program now, `denied` to us, no time left (`budget`), no memory left
 * (`memory`), its files cannot be read or hold what this program does not understand (`unreadable`).
 */
export type SkipReason = 'exited' | 'denied' | 'budget' | 'memory' | 'unreadable';

export interface RefreshReport {
  /** Processes read to the end. */
  readonly processesRead: number;
  /** Processes that were up to date before. */
  readonly processesFresh: number;
  readonly pagesScanned: number;
  readonly bytesHeld: number;
  readonly elapsedMs: number;
  readonly skipped: readonly { readonly pid: number; readonly reason: SkipReason }[];
  /** False when the time was not enough for all. */
  readonly isComplete: boolean;
}

const DEFAULT_MAX_BYTES = 64 * 1024 * 1024;
/** Making room goes on to here, so that it is not made again at once. */
const ROOM_SHARE = 0.9;
/** The event loop is never held for longer by what can be interrupted. */
const SLICE_MS = 2;

/** After this many times the greatest age a process that was given up gets another chance. */
const GIVEN_UP_AGES = 16;

/** A process that was given up for want of memory: what it had, and what that freed. */
interface GivenUp {
  readonly pid: number;
  readonly startTime: number;
  readonly known: Candidate['known'];
  readonly bytes: number;
  readonly untilMs: number;
}

/**
 * Which process's virtual pages lie in which physical memory, from /proc/PID/maps and /proc/PID/pagemap. Kept between calls:
 * only what is old, new, changed or moved is read again, and only what reads differently is stored again.
 */
export class PageMaps {
  readonly #sysfs: SysFs;
  readonly #pageBytes: number;
  readonly #maxBytes: number;
  readonly #store = new ExtentStore();
  readonly #reader: ProcessReader;
  readonly #spaces = new Map<number, AddressSpace>();
  readonly #givenUp = new Map<number, GivenUp>();
  #refreshing: Promise<unknown> = Promise.resolve();

  constructor(options: PageMapsOptions) {
    this.#sysfs = options.sysfs;
    this.#pageBytes = options.pageBytes;
    this.#maxBytes = options.maxBytes ?? DEFAULT_MAX_BYTES;
    this.#reader = new ProcessReader(this.#sysfs, this.#store, this.#pageBytes);
  }

  /** Memory held, in bytes. */
  get bytesHeld(): number {
    let bytes = this.#store.bytes;
    for (const space of this.#spaces.values()) bytes += space.bytes;
    return bytes;
  }

  /**
   * Brings the maps up to date, processes first that give most wanted pages for a page scanned, until `budgetMs` are used or all
   * are fresh. Processes that exit, exec, map or unmap meanwhile are retried next time. Calls at the same time queue.
   * Throws PageMapsUnavailableError when this process may not see page frames, and SysFsError when /proc cannot be read at all.
   */
  refresh(options: RefreshOptions): Promise<RefreshReport> {
    const turn = options.waitFor?.(this.#refreshing) ?? this.#refreshing;
    const report = turn.then(() => this.#refresh(options));
    this.#refreshing = report.catch(() => undefined);
    return report;
  }

  /**
   * Runs of the wanted ranges in the order given, up to `maxBytes`, of these processes (by default of all); a page shared by
   * several processes comes once, a huge page whole (when at least half of it is wanted, or the range lies in it). The ranges
   * must not overlap. Looks up what is known, without input or output, as far as the result is iterated over. Undefined comes
   * now and then where there is nothing: iterating over much of that takes long, and others should have the event loop meanwhile.
   */
  find(
    wanted: readonly AddressRange[],
    options: { readonly maxBytes: number; readonly pids?: ReadonlySet<number> | undefined },
  ): Iterable<PageRun | undefined> {
    return this.#store.find(wanted, this.#pageBytes, options.maxBytes / this.#pageBytes, options.pids);
  }

  /** When a process began that is known, in clock ticks since boot; undefined: it is not known. */
  startTimeOf(pid: number): number | undefined {
    return this.#spaces.get(pid)?.startTime;
  }

  /** These virtual pages have moved: what is known around them (2 MiB) is void until the next refresh, which reads it again. */
  moved(pid: number, startPage: number, pages: number): void {
    this.#spaces.get(pid)?.moved(startPage, pages);
  }

  async #refresh(options: RefreshOptions): Promise<RefreshReport> {
    const startedMs = performance.now();
    const scannedBefore = this.#reader.pagesScanned;
    // One read at least, or a machine so busy that looking takes the whole budget would never find anything.
    const isOver = () =>
      options.signal?.aborted === true ||
      (this.#reader.pagesScanned > scannedBefore && performance.now() - startedMs >= options.budgetMs);
    const skipped: { pid: number; reason: SkipReason }[] = [];
    const reread = await this.#rereadMoved(options, isOver);
    if (reread > 0 && isOver()) {
      await this.#reader.close();
      return this.#report({
        startedMs,
        scannedBefore,
        processesRead: reread,
        processesFresh: 0,
        skipped,
        isComplete: false,
      });
    }
    const unreadable: { pid: number; reason: SkipReason }[] = [];
    const processes = (
      await userProcesses(this.#sysfs, options.pids, (pid) => unreadable.push({ pid, reason: 'unreadable' }))
    ).filter(({ pid }) => options.pids !== undefined || pid !== process.pid);
    this.#forgetExited(processes, options);
    const stale = new Map(
      processes.filter(({ pid }) => !this.#isFresh(pid, options)).map((process) => [process.pid, process]),
    );
    const ranking = stale.size === 0 ? [] : await this.#rank(stale, options.wanted);
    let deniedPath: string | undefined;
    try {
      for (const ranked of ranking) {
        const process = stale.get(ranked.pid);
        if (process === undefined) continue;
        const reason = isOver() ? 'budget' : await this.#readProcess(process, ranked, ranking, options, isOver);
        if (reason !== undefined) skipped.push({ pid: process.pid, reason });
        if (reason === 'denied') deniedPath = `/proc/${process.pid}/pagemap`;
      }
    } finally {
      await this.#reader.close();
    }
    if (deniedPath !== undefined && this.#spaces.size === 0) {
      throw new PageMapsUnavailableError('CAP_SYS_PTRACE', deniedPath, 'permission denied');
    }
    return this.#report({
      startedMs,
      scannedBefore,
      processesRead: reread + stale.size - skipped.length,
      processesFresh: processes.length - stale.size,
      skipped: [...skipped, ...unreadable],
      isComplete: !skipped.some(({ reason }) => reason === 'budget'),
    });
  }

  #report({
    startedMs,
    scannedBefore,
    ...counted
  }: Pick<RefreshReport, 'processesRead' | 'processesFresh' | 'skipped' | 'isComplete'> & {
    readonly startedMs: number;
    readonly scannedBefore: number;
  }): RefreshReport {
    return {
      ...counted,
      pagesScanned: this.#reader.pagesScanned - scannedBefore,
      bytesHeld: this.bytesHeld,
      elapsedMs: performance.now() - startedMs,
    };
  }

  /** What has moved lately comes first: it is near what is wanted, and known without a look at all processes. Gives how many were read. */
  async #rereadMoved(options: RefreshOptions, isOver: () => boolean): Promise<number> {
    const moved = [...this.#spaces.values()].filter(
      ({ pid, dirty, wasReadWhole }) => dirty && wasReadWhole && options.pids?.has(pid) !== false,
    );
    let read = 0;
    for (const { pid, startTime, pages } of moved) {
      if (isOver()) break;
      const ranked = { pid, residentPages: pages, known: undefined, expectedYield: Number.POSITIVE_INFINITY };
      await this.#readProcess({ pid, startTime, residentPages: pages }, ranked, [], options, isOver);
      read += 1;
    }
    return read;
  }

  /** Undefined when the process is up to date now. */
  async #readProcess(
    { pid, startTime, residentPages }: Omit<UserProcess, 'program'>,
    { expectedYield }: RankedProcess,
    ranking: readonly RankedProcess[],
    { nowMs, maxAgeMs, pause }: RefreshOptions,
    isOver: () => boolean,
  ): Promise<SkipReason | undefined> {
    const lessUseful = () =>
      ranking.findLast((other) => other.expectedYield < expectedYield && this.#spaces.has(other.pid));
    const before = this.#givenUp.get(pid);
    if (before !== undefined && this.bytesHeld + before.bytes > this.#maxBytes && lessUseful() === undefined) {
      return 'memory';
    }
    const space = this.#spaces.get(pid) ?? new AddressSpace(this.#store, pid, startTime);
    this.#spaces.set(pid, space);
    let stopped: SkipReason = 'memory';
    const mayGoOn = async (underWay: Promise<unknown>) => {
      await pause?.(underWay);
      if (isOver()) {
        stopped = 'budget';
        return false;
      }
      const giveUp = (other: RankedProcess) => this.#giveUp(other, nowMs + GIVEN_UP_AGES * maxAgeMs);
      return this.#makeRoom(lessUseful, giveUp, () => space.closeOlder(nowMs - maxAgeMs));
    };
    try {
      switch (await this.#reader.read(space, residentPages, { nowMs, maxAgeMs, mayGoOn })) {
        case 'done':
          this.#givenUp.delete(pid);
          return undefined;
        case 'stopped':
          return stopped;
        case 'gone':
          this.#forget(pid);
          return 'exited';
      }
    } catch (error) {
      this.#forget(pid);
      if (isExited(error)) return 'exited';
      if (error instanceof SysFsError && (error.errno === 'EACCES' || error.errno === 'EPERM')) return 'denied';
      if (isOfOneProcess(error)) return 'unreadable';
      throw error;
    }
  }

  /**
   * Within the bound on memory: first what no longer counts goes, then processes that are less useful, then what is old of the
   * process being read itself, so that its maps at least roll through its memory. False when all that is not enough.
   */
  async #makeRoom(
    lessUseful: () => RankedProcess | undefined,
    giveUp: (process: RankedProcess) => Promise<void>,
    closeOld: () => void,
  ): Promise<boolean> {
    if (this.bytesHeld <= this.#maxBytes) return true;
    const enoughBytes = this.#maxBytes * ROOM_SHARE;
    await inSlices(this.#store.sweep());
    while (this.bytesHeld > enoughBytes) {
      const process = lessUseful();
      if (process === undefined) {
        closeOld();
        await inSlices(this.#store.sweep());
        return this.bytesHeld <= enoughBytes;
      }
      await giveUp(process);
    }
    return true;
  }

  /** Forgets a process for want of memory. */
  async #giveUp({ pid, known }: RankedProcess, untilMs: number): Promise<void> {
    const startTime = this.#spaces.get(pid)?.startTime;
    if (startTime === undefined) return;
    const before = this.bytesHeld;
    this.#forget(pid);
    await inSlices(this.#store.sweep());
    this.#givenUp.set(pid, { pid, startTime, known, bytes: before - this.bytesHeld, untilMs });
  }

  async #rank(
    stale: ReadonlyMap<number, UserProcess>,
    wanted: readonly AddressRange[],
  ): Promise<readonly RankedProcess[]> {
    const wantedPages = new Map<number, number>();
    await inSlices(this.#store.count(wanted, this.#pageBytes, wantedPages));
    const pids = new Set([...stale.keys(), ...this.#spaces.keys()]);
    return rankByYield(
      [...pids].map((pid) => {
        const space = this.#spaces.get(pid);
        const residentPages = stale.get(pid)?.residentPages ?? space?.pages ?? 0;
        return {
          pid,
          residentPages,
          known:
            space === undefined
              ? this.#givenUp.get(pid)?.known
              : {
                  wantedPages: wantedPages.get(pid) ?? 0,
                  scannedPages: space.scannedPages,
                  unreadPages: space.wasReadWhole ? 0 : Math.max(0, residentPages - space.pages),
                },
        };
      }),
    );
  }

  #isFresh(pid: number, { nowMs, maxAgeMs }: RefreshOptions): boolean {
    const space = this.#spaces.get(pid);
    return space !== undefined && !space.dirty && nowMs - space.readMs <= maxAgeMs;
  }

  /** Forgets processes that are no more; those that are not asked about stay. */
  #forgetExited(processes: readonly UserProcess[], { pids: asked, nowMs }: RefreshOptions): void {
    const startTimes = new Map(processes.map(({ pid, startTime }) => [pid, startTime]));
    const isNoMore = ({ pid, startTime }: { readonly pid: number; readonly startTime: number }) =>
      (asked === undefined || asked.has(pid)) && startTimes.get(pid) !== startTime;
    for (const space of [...this.#spaces.values()]) if (isNoMore(space)) this.#forget(space.pid);
    for (const given of [...this.#givenUp.values()]) {
      if (isNoMore(given) || nowMs > given.untilMs) this.#givenUp.delete(given.pid);
    }
  }

  #forget(pid: number): void {
    this.#spaces.get(pid)?.clear();
    this.#spaces.delete(pid);
  }
}

/** Runs it to its end, letting others have the event loop in between. */
async function inSlices(steps: Generator<void>): Promise<void> {
  let sliceMs = performance.now();
  for (const _ of steps) {
    if (performance.now() - sliceMs < SLICE_MS) continue;
    await setImmediate();
    sliceMs = performance.now();
  }
}
