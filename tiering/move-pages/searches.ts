const FIRST_REST_MS = 1_000;
const MAX_REST_MS = 30_000;
/** So much more wanted than what was searched in vain is worth another search at once. */
const MORE = 1.5;

/**
 * When to search again for pages that can be moved. Hot memory of the kernel, or page cache that nobody maps, belongs to no process: it is wanted for as
 * long as it is hot, and each search for it reads page maps in vain.
 */
export class Searches {
  #restUntilMs = Number.NEGATIVE_INFINITY;
  #restMs = 0;
  #wantedInVainBytes = 0;

  isDue(wantedBytes: number, nowMs: number): boolean {
    return nowMs >= this.#restUntilMs || wantedBytes > MORE * this.#wantedInVainBytes;
  }

  /** A search has ended; `isPartial`: not all has been searched. */
  ended(wantedBytes: number, foundBytes: number, nowMs: number, isPartial: boolean): void {
    if (foundBytes > 0) {
      this.#restMs = 0;
      this.#restUntilMs = nowMs;
    } else if (!isPartial) {
      this.#restMs = Math.min(MAX_REST_MS, Math.max(FIRST_REST_MS, 2 * this.#restMs));
      this.#restUntilMs = nowMs + this.#restMs;
      this.#wantedInVainBytes = wantedBytes;
    }
  }
}
