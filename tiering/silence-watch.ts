/** A kdamond that migrates answers when its pass is over: on slow memory that takes seconds. */
const DEFAULT_SILENCE_MS = 15_000;
/** One that keeps being silent is not asked more often because it seemed to answer. */
const ASK_AGAIN_MS = 1_000;

/** Which kdamonds have left something unanswered, since when, by node. Times are CLOCK_MONOTONIC in milliseconds. */
export class SilenceWatch {
  readonly #silenceMs: number;
  readonly #sinceMs = new Map<number, number>();
  readonly #askedAtMs = new Map<number, number>();

  /** @param silenceMs for how long before it is told */
  constructor(silenceMs = DEFAULT_SILENCE_MS) {
    this.#silenceMs = silenceMs;
  }

  /** One has not answered in time. */
  begins(nodeId: number, nowMs: number): void {
    if (!this.#sinceMs.has(nodeId)) this.#sinceMs.set(nodeId, nowMs);
  }

  has(nodeId: number): boolean {
    return this.#sinceMs.has(nodeId);
  }

  isLong(nodeId: number, nowMs: number): boolean {
    const sinceMs = this.#sinceMs.get(nodeId);
    return sinceMs !== undefined && nowMs - sinceMs >= this.#silenceMs;
  }

  /** Those that are to be asked again, as nothing is open any more. @param silentNodeIds where something is */
  answered(silentNodeIds: readonly number[], nowMs: number): readonly number[] {
    const due = [...this.#sinceMs.keys()].filter(
      (nodeId) =>
        !silentNodeIds.includes(nodeId) &&
        nowMs - (this.#askedAtMs.get(nodeId) ?? Number.NEGATIVE_INFINITY) >= ASK_AGAIN_MS,
    );
    for (const nodeId of due) this.#askedAtMs.set(nodeId, nowMs);
    return due;
  }

  /** It has done what it was asked, or is gone. */
  forget(nodeId: number): void {
    this.#sinceMs.delete(nodeId);
    this.#askedAtMs.delete(nodeId);
  }
}
