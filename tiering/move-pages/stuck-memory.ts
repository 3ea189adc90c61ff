import type { PageSpan } from './page-memory.ts';
import { PageMemory } from './page-memory.ts';

/** A process by pid and start time, since pids are used again. */
export interface ProcessId {
  readonly pid: number;
  readonly startTime: number;
}

/** A process whose memory does not move, and which is left alone for a while. */
export interface StuckProcess extends ProcessId {
  /** errno name of the last failure. */
  readonly reason: string;
  readonly pauseMs: number;
  /** Tried in vain since something of it moved. */
  readonly failedBytes: number;
}

interface Streak extends ProcessId {
  failedPages: number;
  reason: string;
  pauseMs: number;
  untilMs: number;
  isTold: boolean;
}

/** Pages are left alone for 10 s at first, for 43 minutes in the end. */
const PAGE_PAUSES_MS = [10_000, 40_000, 160_000, 640_000, 2_560_000];
const FIRST_PROCESS_PAUSE_MS = 30_000;
const LONGEST_PROCESS_PAUSE_MS = 3_600_000;
/** That a page or process failed is remembered for so many pauses. */
const REMEMBERED_PAUSES = 3;
/** After so many pages of a process in a row (64 MiB) that did not move, none of it is expected to. */
const HOPELESS_PAGES = 16_384;
/** Bounds the memory of pages to about 12 MB: some 160 GiB that were tried. */
const MAX_CHUNKS = 16_384;
const MAX_PROCESSES = 1024;

/**
 * What could not move and is left alone, longer each time that it fails again: pages by themselves, and processes of which nothing moves, such as
 * virtual machines whose memory VFIO has pinned. All times are CLOCK_MONOTONIC, in milliseconds.
 */
export class StuckMemory {
  readonly #pageBytes: number;
  /** By how often pages have failed. */
  readonly #levels = PAGE_PAUSES_MS.map((pauseMs) => ({
    pauseMs,
    pages: new PageMemory({ spanMs: REMEMBERED_PAUSES * pauseMs, maxChunks: MAX_CHUNKS }),
  }));
  /** By pid, those that failed last at the end. */
  readonly #streaks = new Map<number, Streak>();

  constructor(pageBytes: number) {
    this.#pageBytes = pageBytes;
  }

  /** Pages did not move. `isWhole`: the kernel refused the process as such. */
  failed(
    process: ProcessId,
    span: PageSpan,
    { reason, nowMs, isWhole }: { readonly reason: string; readonly nowMs: number; readonly isWhole: boolean },
  ): void {
    const key = keyOf(process);
    const failedBefore = this.#levels.findLastIndex(({ pages }) => pages.has(key, span.startPage, nowMs));
    const level = this.#levels[Math.min(failedBefore + 1, this.#levels.length - 1)];
    level?.pages.add(key, span, nowMs);
    const { pid, startTime } = process;
    const before = this.#streaks.get(pid);
    const streak =
      before?.startTime === startTime
        ? before
        : { pid, startTime, failedPages: 0, reason, pauseMs: 0, untilMs: nowMs, isTold: false };
    streak.failedPages += span.pages;
    streak.reason = reason;
    const isHopeless = isWhole || streak.failedPages >= HOPELESS_PAGES;
    // What else was under way when the pause began says nothing new.
    if (isHopeless && nowMs >= streak.untilMs) {
      streak.pauseMs = Math.min(LONGEST_PROCESS_PAUSE_MS, Math.max(FIRST_PROCESS_PAUSE_MS, 2 * streak.pauseMs));
      streak.untilMs = nowMs + streak.pauseMs;
    }
    this.#streaks.delete(pid);
    this.#streaks.set(pid, streak);
    if (streak !== before) this.#forget(nowMs);
  }

  /** Something of the process has moved: it is no hopeless case. */
  moved(pid: number): void {
    this.#streaks.delete(pid);
  }

  /** False when nothing at all is left alone: then nobody need ask. */
  hasAny(nowMs: number): boolean {
    return this.#streaks.size > 0 || this.#levels.some(({ pages }) => !pages.isEmpty(nowMs));
  }

  /** Whether a page, or all of its process, is not to be tried yet. */
  isLeftAlone(process: ProcessId, page: number, nowMs: number): boolean {
    const streak = this.#streaks.get(process.pid);
    if (streak?.startTime === process.startTime && isPaused(streak, nowMs)) return true;
    const key = keyOf(process);
    return this.#levels.some(({ pauseMs, pages }) => pages.chunks > 0 && pages.has(key, page, nowMs, pauseMs));
  }

  /** Processes that are left alone as such. */
  processes(nowMs: number): readonly StuckProcess[] {
    return [...this.#streaks.values()]
      .filter((streak) => isPaused(streak, nowMs))
      .map((streak) => this.#viewOf(streak));
  }

  /** Of those processes the ones that nobody has been told of. */
  takeNew(nowMs: number): readonly StuckProcess[] {
    const unknown = [...this.#streaks.values()].filter((streak) => !streak.isTold && isPaused(streak, nowMs));
    for (const streak of unknown) streak.isTold = true;
    return unknown.map((streak) => this.#viewOf(streak));
  }

  #viewOf({ pid, startTime, reason, pauseMs, failedPages }: Streak): StuckProcess {
    return { pid, startTime, reason, pauseMs, failedBytes: failedPages * this.#pageBytes };
  }

  #forget(nowMs: number): void {
    for (const { pid, untilMs, pauseMs } of this.#streaks.values()) {
      const isOld = nowMs > untilMs + REMEMBERED_PAUSES * Math.max(FIRST_PROCESS_PAUSE_MS, pauseMs);
      if (isOld || this.#streaks.size > MAX_PROCESSES) this.#streaks.delete(pid);
    }
  }
}

/** The clock may have been read before the last failure. */
function isPaused({ pauseMs, untilMs }: Streak, nowMs: number): boolean {
  return pauseMs > 0 && nowMs < untilMs;
}

/** One number for pid and start time; pids are below 2^22. */
function keyOf({ pid, startTime }: ProcessId): number {
  return (startTime % 2 ** 30) * 2 ** 22 + pid;
}
