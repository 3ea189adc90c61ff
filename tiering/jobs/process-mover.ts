import { KernelFormatError } from '../../numa/errors.ts';
import type { UserProcess } from '../../numa/page-maps/processes.ts';
import { userProcess } from '../../numa/page-maps/processes.ts';
import { SyscallError } from '../../numa/syscalls/errors.ts';
import type { MovePages } from '../../numa/syscalls/move-pages.ts';
import { tryMove } from '../../numa/syscalls/try-move.ts';
import type { SysFs } from '../../numa/sysfs.ts';
import { SysFsError } from '../../numa/sysfs.ts';
import type { Serial } from '../serial.ts';
import { batchOutcome, pagesOn } from './batch-outcome.ts';
import type { JobClock } from './job-clock.ts';
import type { JobRecord } from './job-record.ts';
import { MIN_BATCH_BYTES, Pace } from './pace.ts';
import type { PageBatch, PageRun } from './page-batches.ts';
import { fittingPages, pageBatches, runBytes, toRuns } from './page-batches.ts';
import { readProcessMemory } from './process-memory.ts';
import type { FindResident } from './resident-runs.ts';
import { residentRuns } from './resident-runs.ts';
import { TargetRoom } from './target-room.ts';

/** What a migration does its work with. */
export interface MigrationEffects {
  readonly sysfs: SysFs;
  readonly movePages: MovePages;
  readonly clock: JobClock;
  /** The kernel's page size. */
  readonly pageBytes: number;
  readonly findResident: FindResident;
  /** Waits until the processor may be used again, or the signal comes. */
  readonly pause: (signal: AbortSignal) => Promise<void>;
  /** One step at a time, of all migrations: each must know how much room those before it have left. */
  readonly steps: Serial;
}

/** How a process's part ended. `refused`: nothing more of this process can move; `stopped`: the migration was cancelled; `full`: the node to go to takes no more. */
export type PartEnd = 'finished' | 'exited' | 'refused' | 'stopped' | 'full';

/** Pages asked for in one call. */
const SCAN_PAGES = 4096;

/** One page that cannot move ends the kernel's work on a batch: what it did not reach is named again. */
const MAX_TRIES = 3;

/** Of a process of which so much in a row stays busy on the second try, the rest is pinned. */
const HOPELESS_BYTES = 64 * 1024 * 1024;

/** Kept for the second try, at most; each run stands for at least one page. */
const MAX_BUSY_RUNS = 65_536;

interface FoundRuns {
  readonly runs: Iterable<PageRun> | AsyncIterable<PageRun>;
  readonly isEmpty: boolean;
}

interface BusyMemory {
  readonly process: UserProcess;
  readonly runs: PageRun[];
}

/** Moves memory of one process after another, as one record's order says, and notes in it what became of each page. */
export class ProcessMover {
  readonly #record: JobRecord;
  readonly #effects: MigrationEffects;
  readonly #signal: AbortSignal;
  readonly #from: ReadonlySet<number>;
  readonly #pace: Pace;
  readonly #room: TargetRoom;
  readonly #busy: BusyMemory[] = [];
  #busyRuns = 0;

  constructor(record: JobRecord, effects: MigrationEffects, signal: AbortSignal) {
    this.#record = record;
    this.#effects = effects;
    this.#signal = signal;
    this.#from = new Set(record.order.from);
    this.#pace = new Pace(record.order.maxBytesPerSecond);
    this.#room = new TargetRoom(effects.sysfs, record.order.to);
  }

  /** Moves what a process has on the nodes to leave, `expectedBytes` when it was seen first. Busy pages are kept for retry(). */
  async move(process: UserProcess, expectedBytes: number): Promise<PartEnd> {
    const busy: PageRun[] = [];
    const { sysfs, pageBytes, findResident } = this.#effects;
    const read = async () => {
      const { runs } = await readProcessMemory(sysfs, process.pid, this.#from, pageBytes);
      return { runs: residentRuns(process.pid, runs, findResident, () => this.#mayGoOn()), isEmpty: runs.length === 0 };
    };
    const end = await this.#moveRuns(process, read, expectedBytes, busy);
    if (end !== 'exited' && end !== 'refused' && busy.length > 0) this.#busy.push({ process, runs: busy });
    return end;
  }

  /** Tries once more what was busy; what still is counts as failed, as does the rest of a process of which nothing moves. */
  async retry(): Promise<PartEnd> {
    for (const { process, runs } of this.#busy) {
      const end = await this.#moveRuns(process, async () => ({ runs, isEmpty: false }), runBytes(runs), undefined);
      if (end === 'stopped' || end === 'full') return end;
    }
    return 'finished';
  }

  /** @param busy takes what may move later; undefined: now is the last time */
  async #moveRuns(
    process: UserProcess,
    readRuns: () => Promise<FoundRuns>,
    expectedBytes: number,
    busy: PageRun[] | undefined,
  ): Promise<PartEnd> {
    const handledBefore = this.#record.handledBytes;
    let inVainBytes = 0;
    try {
      const { runs, isEmpty } = await readRuns();
      for await (const batch of pageBatches(runs, SCAN_PAGES)) {
        if (!(await this.#mayGoOn())) return 'stopped';
        const movedBefore = this.#record.movedBytes;
        const end = this.#isAlive(process) ? await this.#moveBatch(process.pid, batch, busy) : 'exited';
        if (end === 'exited') return this.#exited(process, expectedBytes, handledBefore);
        if (end !== 'finished') return end;
        inVainBytes = this.#record.movedBytes > movedBefore ? 0 : inVainBytes + batch.pages.length * batch.pageBytes;
        if (busy === undefined && inVainBytes >= HOPELESS_BYTES) {
          this.#record.failed('EBUSY', expectedBytes - (this.#record.handledBytes - handledBefore));
          return 'finished';
        }
      }
      if (this.#signal.aborted) return 'stopped';
      // Gone, or another program, before all was looked at: its pages were no longer there to be found.
      const isAllDone = !isEmpty && this.#record.handledBytes - handledBefore >= expectedBytes;
      return isAllDone || this.#isAlive(process) ? 'finished' : this.#exited(process, expectedBytes, handledBefore);
    } catch (error) {
      if (this.#exitExplains(error, process)) return this.#exited(process, expectedBytes, handledBefore);
      const errno = refusalOfProcess(error);
      if (errno === undefined) throw error;
      this.#record.processFailed(process.pid, errno, expectedBytes - (this.#record.handledBytes - handledBefore));
      return 'refused';
    }
  }

  /** Waits for the processor; false: stopped. */
  async #mayGoOn(): Promise<boolean> {
    await this.#effects.pause(this.#signal);
    return !this.#signal.aborted;
  }

  /** What was not dealt with yet went with the process. */
  #exited(process: UserProcess, expectedBytes: number, handledBefore: number): PartEnd {
    const leftBytes = expectedBytes - (this.#record.handledBytes - handledBefore);
    this.#record.processGone();
    if (userProcess(this.#effects.sysfs, process.pid)?.startTime === process.startTime) {
      this.#record.programReplaced(leftBytes);
    } else this.#record.failed('ESRCH', leftBytes);
    return 'exited';
  }

  /** False once it has exited, even if another process has its pid, and once it runs another program. */
  #isAlive({ pid, startTime, program }: UserProcess): boolean {
    const now = userProcess(this.#effects.sysfs, pid);
    return now?.startTime === startTime && now.program === program;
  }

  /** ESRCH, or EINVAL of a process that has given its memory back and waits for its parent. */
  #exitExplains(error: unknown, process: UserProcess): boolean {
    if (!(error instanceof SyscallError)) return false;
    return error.errno === 'ESRCH' || (error.errno === 'EINVAL' && !this.#isAlive(process));
  }

  async #moveBatch(pid: number, batch: PageBatch, busy: PageRun[] | undefined): Promise<PartEnd> {
    const found = pagesOn(this.#from, batch, await this.#effects.movePages({ pid, pages: batch.pages }));
    this.#record.scanned(batch.pages.length * batch.pageBytes);
    for (let left = found; left.pages.length > 0; ) {
      await this.#waitForTurn();
      if (!(await this.#mayGoOn())) return 'stopped';
      const before = left;
      const { end, count } = await this.#effects.steps.run(() => this.#moveFirst(pid, before, busy));
      if (end !== 'finished') return end;
      left = { ...left, pages: left.pages.subarray(count) };
    }
    return 'finished';
  }

  /** Moves as many of the batch's first pages as a step takes and there is room for. */
  async #moveFirst(
    pid: number,
    batch: PageBatch,
    busy: PageRun[] | undefined,
  ): Promise<{ readonly end: PartEnd; readonly count: number }> {
    // Less than a huge page is no room: the last pages above the watermark belong to whoever allocates next.
    const room = fittingPages(batch, await this.#room.bytes(), false);
    if (room === 0) return { end: 'full', count: 0 };
    // At last in small steps, for a page that stays can keep the kernel from those after it.
    const stepBytes = busy === undefined ? MIN_BATCH_BYTES : this.#pace.batchBytes;
    const count = Math.min(room, fittingPages(batch, stepBytes, true));
    return { end: await this.#moveStep(pid, firstPages(batch, count), busy), count };
  }

  async #waitForTurn(): Promise<void> {
    const { clock } = this.#effects;
    const waitMs = this.#pace.waitMs(clock.now().monotonicMs);
    if (waitMs > 0) await clock.sleep(waitMs, this.#signal);
  }

  /** Pages that were all on a node to leave a moment ago. */
  async #moveStep(pid: number, step: PageBatch, busy: PageRun[] | undefined): Promise<PartEnd> {
    const { clock } = this.#effects;
    const { pageBytes } = step;
    let left = step;
    let errnos: readonly string[] = [];
    for (let tries = 0; tries < MAX_TRIES && left.pages.length > 0; tries++) {
      const startedAtMs = clock.now().monotonicMs;
      const outcome = await this.#callMovePages(pid, left);
      this.#pace.moved(outcome.movedPages * pageBytes, startedAtMs);
      this.#record.moved(outcome.movedPages * pageBytes);
      this.#record.failed('ENOENT', outcome.gonePages * pageBytes);
      left = outcome.stayed;
      errnos = outcome.stayedErrnos;
      if (outcome.movedPages === 0) break;
    }
    const isFull = left.pages.length > 0 && errnos.every((errno) => errno === 'ENOMEM');
    if (isFull) return 'full';
    this.#keepOrCount(left, errnos, busy);
    return 'finished';
  }

  async #callMovePages(pid: number, batch: PageBatch) {
    const { movePages } = this.#effects;
    const { to } = this.#record.order;
    const statuses = await tryMove(movePages, { pid, pages: batch.pages, targetNodeId: to, moveAll: true });
    const placement = await movePages({ pid, pages: batch.pages });
    return batchOutcome(batch, statuses, placement, { from: this.#from, to });
  }

  #keepOrCount(left: PageBatch, errnos: readonly string[], busy: PageRun[] | undefined): void {
    const mayMoveLater = (errno: string | undefined) => errno === 'EAGAIN' || errno === 'EBUSY' || errno === 'ENOMEM';
    const later = { ...left, pages: left.pages.filter((_, index) => mayMoveLater(errnos[index])) };
    const runs = busy === undefined ? [] : toRuns(later);
    const isKept = runs.length > 0 && this.#busyRuns + runs.length <= MAX_BUSY_RUNS;
    if (isKept) {
      busy?.push(...runs);
      this.#busyRuns += runs.length;
    }
    for (const errno of errnos) if (!isKept || !mayMoveLater(errno)) this.#record.failed(errno, left.pageBytes);
  }
}

/** The errno name of an error that concerns one process: others may move. Undefined for those that concern the order, such as ENODEV. */
export function refusalOfProcess(error: unknown): string | undefined {
  if (error instanceof SyscallError)
    return ['EACCES', 'EPERM', 'EINVAL'].includes(error.errno) ? error.errno : undefined;
  if (error instanceof SysFsError) return error.errno;
  return error instanceof KernelFormatError ? 'EBADMSG' : undefined;
}

function firstPages(batch: PageBatch, count: number): PageBatch {
  return { ...batch, pages: batch.pages.subarray(0, count) };
}
