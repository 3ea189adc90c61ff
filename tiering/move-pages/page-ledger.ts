import type { MayMove } from './page-batches.ts';
import { PAGE_BYTES } from './page-bytes.ts';
import type { PageSpan } from './page-memory.ts';
import { PageMemory } from './page-memory.ts';
import type { ProcessId, StuckProcess } from './stuck-memory.ts';
import { StuckMemory } from './stuck-memory.ts';

type Direction = 'promotion' | 'demotion';

/** A page that comes back within so many settle times is ping-pong all the same. */
const PING_PONG_SPANS = 5;
/** Says nothing of a page: the node to go to was full, or the process ended. */
const NOT_OF_PAGES = new Set(['ENOMEM', 'ESRCH']);
/** Bounds each memory of pages to about 10 MB. */
const MAX_CHUNKS = 65_536;

/** When a process began, by its pid; undefined: not known. */
export type StartTimeOf = (pid: number) => number | undefined;

export interface MayMoveOptions {
  readonly nowMs: number;
  readonly settleMs: number;
  readonly startTimeOf: StartTimeOf;
}

export interface MovedOptions {
  readonly nowMs: number;
  /** It left for the sake of the policy rather than for what it is: another policy may have it back at once. */
  readonly isLoose: boolean;
}

export interface Failure {
  /** errno name. */
  readonly reason: string;
  readonly nowMs: number;
  /** The kernel refused the process as such. */
  readonly isWhole: boolean;
}

/** Pages that went in one direction lately. */
interface Moved {
  readonly loose: PageMemory;
  /** These settle, whatever the policy. */
  readonly firm: PageMemory;
}

/** Accounts for every page that was moved, or could not be, and knows which must not move back yet. */
export class PageLedger {
  #settleMs: number;
  /** What was moved before that, and is loose, may move back at once. */
  #relaxedAtMs = Number.NEGATIVE_INFINITY;
  readonly #moved: Record<Direction, Moved>;
  #heldBack: PageMemory;
  readonly #stuck = new StuckMemory(PAGE_BYTES);
  readonly #failedBytes = new Map<string, number>();
  movedBytes = 0;
  heldBackBytes = 0;
  pingPongBytes = 0;

  constructor(settleMs: number) {
    this.#settleMs = settleMs;
    this.#moved = emptyMemories(settleMs);
    this.#heldBack = memoryFor(settleMs);
  }

  /** Bytes that did not move, by errno name. */
  get failedBytes(): Readonly<Record<string, number>> {
    return Object.fromEntries(this.#failedBytes);
  }

  /**
   * The test for pages to move in a direction: not those that came from there less than `settleMs` ago, but for loose ones that came before the policy
   * changed; nor what has failed and is left alone.
   */
  mayMove(direction: Direction, { nowMs, settleMs, startTimeOf }: MayMoveOptions): MayMove {
    this.#remember(settleMs);
    const { loose, firm } = this.#moved[oppositeOf(direction)];
    const looseMs = Math.min(settleMs, nowMs - this.#relaxedAtMs);
    const isLooseGuarded = looseMs > 0 && !loose.isEmpty(nowMs);
    const isFirmGuarded = settleMs > 0 && !firm.isEmpty(nowMs);
    const isAnyStuck = this.#stuck.hasAny(nowMs);
    return (pid, page) => {
      if (isAnyStuck && this.isStuck({ pid, startTime: startTimeOf(pid) ?? 0 }, page, nowMs)) return false;
      const isHeldBack =
        (isFirmGuarded && firm.has(pid, page, nowMs, settleMs)) ||
        (isLooseGuarded && loose.has(pid, page, nowMs, looseMs));
      if (isHeldBack) this.#noteHeldBack(pid, page, nowMs);
      return !isHeldBack;
    };
  }

  moved(direction: Direction, pid: number, span: PageSpan, { nowMs, isLoose }: MovedOptions): void {
    this.movedBytes += span.pages * PAGE_BYTES;
    this.#stuck.moved(pid);
    const sinceRelaxedMs = nowMs - this.#relaxedAtMs;
    const opposite = Object.values(this.#moved[oppositeOf(direction)]).filter((memory) => !memory.isEmpty(nowMs));
    if (opposite.length > 0) {
      for (let page = span.startPage; page < span.startPage + span.pages; page += 1) {
        if (opposite.some((memory) => memory.has(pid, page, nowMs, sinceRelaxedMs))) this.pingPongBytes += PAGE_BYTES;
      }
    }
    this.#moved[direction][isLoose ? 'loose' : 'firm'].add(pid, span, nowMs);
  }

  /** Whether a page could not move and is left alone. */
  isStuck(process: ProcessId, page: number, nowMs: number): boolean {
    return this.#stuck.isLeftAlone(process, page, nowMs);
  }

  /** Processes of which nothing moves. */
  stuckProcesses(nowMs: number): readonly StuckProcess[] {
    return this.#stuck.processes(nowMs);
  }

  /** Of those the ones that were not given before. */
  newStuckProcesses(nowMs: number): readonly StuckProcess[] {
    return this.#stuck.takeNew(nowMs);
  }

  failed(process: ProcessId, span: PageSpan, failure: Failure): void {
    const { reason } = failure;
    this.#failedBytes.set(reason, (this.#failedBytes.get(reason) ?? 0) + span.pages * PAGE_BYTES);
    if (!NOT_OF_PAGES.has(reason)) this.#stuck.failed(process, span, failure);
  }

  /**
   * The operator wants other things of pages now: what is loose and has moved until now need not settle. The rest settles all the same, for DAMON
   * needs some seconds to tell the hot from the cold of what has just arrived.
   */
  relax(nowMs: number): void {
    this.#relaxedAtMs = nowMs;
    for (const { loose, firm } of Object.values(this.#moved)) {
      loose.divide(nowMs);
      firm.divide(nowMs);
    }
    this.#heldBack = memoryFor(this.#settleMs);
  }

  #noteHeldBack(pid: number, page: number, nowMs: number): void {
    // Each tick would like to move it; it counts once.
    if (this.#heldBack.has(pid, page, nowMs)) return;
    this.#heldBack.add(pid, { startPage: page, pages: 1 }, nowMs);
    this.heldBackBytes += PAGE_BYTES;
  }

  #remember(settleMs: number): void {
    if (settleMs === this.#settleMs) return;
    this.#settleMs = settleMs;
    for (const { loose, firm } of Object.values(this.#moved)) {
      loose.respan(spanOf(settleMs * PING_PONG_SPANS));
      firm.respan(spanOf(settleMs * PING_PONG_SPANS));
    }
    this.#heldBack.respan(spanOf(settleMs));
  }
}

function emptyMemories(settleMs: number): Record<Direction, Moved> {
  const spanMs = settleMs * PING_PONG_SPANS;
  const moved = (): Moved => ({ loose: memoryFor(spanMs), firm: memoryFor(spanMs) });
  return { promotion: moved(), demotion: moved() };
}

function memoryFor(spanMs: number): PageMemory {
  return new PageMemory({ spanMs: spanOf(spanMs), maxChunks: MAX_CHUNKS });
}

/** No memory is of nothing. */
function spanOf(ms: number): number {
  return Math.max(1, ms);
}

function oppositeOf(direction: Direction): Direction {
  return direction === 'promotion' ? 'demotion' : 'promotion';
}
