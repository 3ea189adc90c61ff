import { setTimeout as sleep } from 'node:timers/promises';

/** Answered from memory for so long. */
const FRESH_MS = 5_000;
/** Better than to wait, for so long. */
const USABLE_MS = 60_000;
/** A request waits so long for news when there is something usable. */
const PATIENCE_MS = 80;
/** Times as long as the last survey took: so the daemon surveys for a tenth of the time at most, however often it is asked. */
const REST = 9;

interface Taken {
  /** CLOCK_MONOTONIC, in milliseconds. */
  readonly takenAtMs: number;
}

export interface NewestOptions<T extends Taken> {
  readonly take: () => Promise<T>;
  /** CLOCK_MONOTONIC, in milliseconds. */
  readonly nowMs: () => number;
  readonly patienceMs?: number;
}

/**
 * The newest of something that is taken only when it is asked for and takes its time: one at a time, not all the time, and nobody waits for it who can
 * have one that is less than a minute old.
 */
export class Newest<T extends Taken> {
  readonly #options: NewestOptions<T>;
  #known: T | undefined;
  #taking: Promise<T> | undefined;
  #restUntilMs = Number.NEGATIVE_INFINITY;

  constructor(options: NewestOptions<T>) {
    this.#options = options;
  }

  /** Rejects as `take` does, when there is nothing usable. */
  async get(): Promise<T> {
    const nowMs = this.#options.nowMs();
    const known = this.#known;
    const ageMs = known === undefined ? Number.POSITIVE_INFINITY : nowMs - known.takenAtMs;
    if (known !== undefined && (ageMs < FRESH_MS || nowMs < this.#restUntilMs)) return known;
    this.#taking ??= this.#take();
    if (known === undefined || ageMs > USABLE_MS) return this.#taking;
    const done = new AbortController();
    const patience = sleep(this.#options.patienceMs ?? PATIENCE_MS, known, { signal: done.signal }).catch(() => known);
    try {
      return await Promise.race([this.#taking.catch(() => known), patience]);
    } finally {
      done.abort();
    }
  }

  async #take(): Promise<T> {
    const { take, nowMs } = this.#options;
    const startMs = nowMs();
    try {
      this.#known = await take();
      return this.#known;
    } finally {
      const endMs = nowMs();
      this.#restUntilMs = endMs + REST * (endMs - startMs);
      this.#taking = undefined;
    }
  }
}
