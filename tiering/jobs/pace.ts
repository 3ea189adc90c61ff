const MIB = 1024 * 1024;

/** move_pages(2) takes long enough beyond 4096 pages to be felt by whoever waits for it. */
const MAX_BATCH_BYTES = 16 * MIB;

/** A transparent huge page moves whole or not at all. */
export const MIN_BATCH_BYTES = 2 * MIB;

const BATCHES_PER_SECOND = 4;

/** Timers wake late, by a little each time. */
const MADE_UP_MS = 1000 / BATCHES_PER_SECOND;

/**
 * Keeps a migration to its bytes a second: small steps, so that it flows and can be stopped, and a wait after each. Of time that
 * was lost as much as a batch takes is made up for; more would be a burst. Pure: times are given, in milliseconds.
 */
export class Pace {
  /** Most bytes to move in one batch. */
  readonly batchBytes: number;
  readonly #bytesPerMs: number;
  #nextAtMs: number | undefined;

  constructor(maxBytesPerSecond: number) {
    const share = Math.floor(maxBytesPerSecond / BATCHES_PER_SECOND / MIN_BATCH_BYTES) * MIN_BATCH_BYTES;
    this.batchBytes = Math.min(MAX_BATCH_BYTES, Math.max(MIN_BATCH_BYTES, share));
    this.#bytesPerMs = maxBytesPerSecond / 1000;
  }

  /** How long to wait before the next batch. */
  waitMs(nowMs: number): number {
    return Math.max(0, (this.#nextAtMs ?? nowMs) - nowMs);
  }

  /** A call that began at `startedAtMs` moved so many bytes; a batch can need several. */
  moved(bytes: number, startedAtMs: number): void {
    const dueAtMs = this.#nextAtMs ?? startedAtMs;
    this.#nextAtMs = Math.max(dueAtMs, startedAtMs - MADE_UP_MS) + bytes / this.#bytesPerMs;
  }
}
