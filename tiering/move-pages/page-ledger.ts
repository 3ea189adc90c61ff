import type { MayMove } from './page-batches.ts';
import type { PageSpan } from './page-memory.ts';
import { PageMemory } from './page-memory.ts';

type Direction = 'promotion' | 'demotion';

const PAGE_BYTES = 4096;
/** A page that comes back within so many settle times is ping-pong all the same. */
const PING_PONG_SPANS = 5;
/** Pages that could not move (pinned, under I/O) are left alone for so long. */
const STUCK_MS = 10_000;
/** Bounds the memory of each direction to about 10 MB. */
const MAX_CHUNKS = 65_536;

export interface MayMoveOptions {
  readonly nowMs: number;
  readonly settleMs: number;
  readonly isSure: boolean;
}

/** Accounts for every page that was moved, or could not be, and knows which must not move back yet. */
export class PageLedger {
  #settleMs: number;
  /** What was moved before that may move back at once, where it is sure that it should. */
  #relaxedAtMs = Number.NEGATIVE_INFINITY;
  #moved: Record<Direction, PageMemory>;
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
   * The test for pages to move in a direction: not those that came from there less than `settleMs` ago, nor those that have just failed. `isSure`: their
   * ranges hold nothing that should stay, so that what came before the policy changed may go.
   */
  mayMove(direction: Direction, { nowMs, settleMs, isSure }: MayMoveOptions): MayMove {
    this.#remember(settleMs);
    const guardMs = isSure ? Math.min(settleMs, nowMs - this.#relaxedAtMs) : settleMs;
    const opposite = this.#moved[oppositeOf(direction)];
    const stuck = this.#stuck;
    const [isGuarded, isStuck] = [!opposite.isEmpty(nowMs) && guardMs > 0, !stuck.isEmpty(nowMs)];
    return (pid, page) => {
      if (isStuck && stuck.has(pid, page, nowMs)) return false;
      if (isGuarded && opposite.has(pid, page, nowMs, guardMs)) {
        this.#noteHeldBack(pid, page, nowMs);
        return false;
      }
      return true;
    };
  }

  moved(direction: Direction, pid: number, span: PageSpan, nowMs: number): void {
    this.movedBytes += span.pages * PAGE_BYTES;
    const opposite = this.#moved[oppositeOf(direction)];
    if (!opposite.isEmpty(nowMs)) {
      for (let page = span.startPage; page < span.startPage + span.pages; page += 1) {
        if (opposite.has(pid, page, nowMs, nowMs - this.#relaxedAtMs)) this.pingPongBytes += PAGE_BYTES;
      }
    }
    this.#moved[direction].add(pid, span, nowMs);
  }

  /** `reason`: an errno name. */
  failed(pid: number, span: PageSpan, reason: string, nowMs: number): void {
    this.#failedBytes.set(reason, (this.#failedBytes.get(reason) ?? 0) + span.pages * PAGE_BYTES);
    this.#stuck.add(pid, span, nowMs);
  }

  /**
   * The operator wants other things of pages now: what has moved until now need not settle where it is sure that it should move back. Elsewhere it
   * settles all the same, for DAMON needs some seconds to tell the hot from the cold of what has just arrived.
   */
  relax(nowMs: number): void {
    this.#relaxedAtMs = nowMs;
    for (const memory of Object.values(this.#moved)) memory.divide(nowMs);
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
    this.#moved = emptyMemories(settleMs);
    this.#heldBack = memoryFor(settleMs);
  }
}

function emptyMemories(settleMs: number): Record<Direction, PageMemory> {
  const spanMs = settleMs * PING_PONG_SPANS;
  return { promotion: memoryFor(spanMs), demotion: memoryFor(spanMs) };
}

function memoryFor(spanMs: number): PageMemory {
  return new PageMemory({ spanMs: Math.max(1, spanMs), maxChunks: MAX_CHUNKS });
}

function oppositeOf(direction: Direction): Direction {
  return direction === 'promotion' ? 'demotion' : 'promotion';
}
