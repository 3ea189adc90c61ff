import type { MayMove } from './page-batches.ts';
import { PAGE_BYTES } from './page-bytes.ts';
import type { PageSpan } from './page-memory.ts';
import { PageMemory } from './page-memory.ts';

type Direction = 'promotion' | 'demotion';

/** A page that comes back within so many settle times is ping-pong all the same. */
const PING_PONG_SPANS = 5;
/** Pages that could not move (pinned, under I/O) are left alone for so long. */
const STUCK_MS = 10_000;
/** Says nothing of a page: the node to go to was full. */
const NO_ROOM = 'ENOMEM';
/** Bounds each memory of pages to about 10 MB. */
const MAX_CHUNKS = 65_536;

export interface MayMoveOptions {
  readonly nowMs: number;
  readonly settleMs: number;
}

export interface MovedOptions {
  readonly nowMs: number;
  /** It left for the sake of the policy rather than for what it is: another policy may have it back at once. */
  readonly isLoose: boolean;
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
  readonly #stuck = new PageMemory({ spanMs: STUCK_MS, maxChunks: MAX_CHUNKS });
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
   * changed; nor those that have just failed.
   */
  mayMove(direction: Direction, { nowMs, settleMs }: MayMoveOptions): MayMove {
    this.#remember(settleMs);
    const { loose, firm } = this.#moved[oppositeOf(direction)];
    const looseMs = Math.min(settleMs, nowMs - this.#relaxedAtMs);
    const stuck = this.#stuck;
    const isLooseGuarded = looseMs > 0 && !loose.isEmpty(nowMs);
    const isFirmGuarded = settleMs > 0 && !firm.isEmpty(nowMs);
    const isStuck = !stuck.isEmpty(nowMs);
    return (pid, page) => {
      if (isStuck && stuck.has(pid, page, nowMs)) return false;
      const isHeldBack =
        (isFirmGuarded && firm.has(pid, page, nowMs, settleMs)) ||
        (isLooseGuarded && loose.has(pid, page, nowMs, looseMs));
      if (isHeldBack) this.#noteHeldBack(pid, page, nowMs);
      return !isHeldBack;
    };
  }

  moved(direction: Direction, pid: number, span: PageSpan, { nowMs, isLoose }: MovedOptions): void {
    this.movedBytes += span.pages * PAGE_BYTES;
    const sinceRelaxedMs = nowMs - this.#relaxedAtMs;
    const opposite = Object.values(this.#moved[oppositeOf(direction)]).filter((memory) => !memory.isEmpty(nowMs));
    if (opposite.length > 0) {
      for (let page = span.startPage; page < span.startPage + span.pages; page += 1) {
        if (opposite.some((memory) => memory.has(pid, page, nowMs, sinceRelaxedMs))) this.pingPongBytes += PAGE_BYTES;
      }
    }
    this.#moved[direction][isLoose ? 'loose' : 'firm'].add(pid, span, nowMs);
  }

  /** Whether a page could not move a moment ago. */
  isStuck(pid: number, page: number, nowMs: number): boolean {
    return this.#stuck.has(pid, page, nowMs);
  }

  /** `reason`: an errno name. */
  failed(pid: number, span: PageSpan, reason: string, nowMs: number): void {
    this.#failedBytes.set(reason, (this.#failedBytes.get(reason) ?? 0) + span.pages * PAGE_BYTES);
    if (reason !== NO_ROOM) this.#stuck.add(pid, span, nowMs);
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
