const FIRST_PAUSE_MS = 2_000;
const LONGEST_PAUSE_MS = 60_000;

interface Trouble {
  /** Undefined: it is mended, and what it was is remembered for the next pause. */
  readonly reason: string | undefined;
  readonly nextTryAtMs: number;
  readonly pauseMs: number;
}

/** What is wrong with single nodes, and when each is tried again: later and later while it keeps failing. Times are CLOCK_MONOTONIC in milliseconds. */
export class NodeTroubles {
  readonly #troubles = new Map<number, Trouble>();

  /** All that is wrong, for people; undefined: nothing is. */
  get problem(): string | undefined {
    const told = [...this.#troubles]
      .filter(([, { reason }]) => reason !== undefined)
      .sort(([a], [b]) => a - b)
      .map(([nodeId, { reason }]) => `node ${nodeId}: ${reason}`);
    return told.length === 0 ? undefined : told.join('; ');
  }

  /** Nodes with which something is wrong. */
  get nodeIds(): readonly number[] {
    return [...this.#troubles].flatMap(([nodeId, { reason }]) => (reason === undefined ? [] : [nodeId]));
  }

  /** A try has failed. True: that, or why, is news. */
  failed(nodeId: number, reason: string, nowMs: number): boolean {
    const before = this.#troubles.get(nodeId);
    if (before?.reason !== undefined && nowMs < before.nextTryAtMs) {
      // Seen once more, and not tried.
      this.#troubles.set(nodeId, { ...before, reason });
      return before.reason !== reason;
    }
    // What has gone well for long is tried again soon.
    const isAgain = before !== undefined && nowMs - before.nextTryAtMs < LONGEST_PAUSE_MS;
    const pauseMs = isAgain ? Math.min(LONGEST_PAUSE_MS, before.pauseMs * 2) : FIRST_PAUSE_MS;
    this.#troubles.set(nodeId, { reason, nextTryAtMs: nowMs + pauseMs, pauseMs });
    return before?.reason !== reason;
  }

  /** A try has succeeded. True: something was wrong before. */
  mended(nodeId: number): boolean {
    const before = this.#troubles.get(nodeId);
    if (before?.reason === undefined) return false;
    this.#troubles.set(nodeId, { ...before, reason: undefined });
    return true;
  }

  /** Something has changed: it may be tried at once. */
  tryNow(nodeId: number, nowMs: number): void {
    const before = this.#troubles.get(nodeId);
    if (before !== undefined && before.nextTryAtMs > nowMs)
      this.#troubles.set(nodeId, { ...before, nextTryAtMs: nowMs });
  }

  forget(nodeId: number): void {
    this.#troubles.delete(nodeId);
  }

  clear(): void {
    this.#troubles.clear();
  }

  /** Whether a node may be tried now. */
  mayTry(nodeId: number, nowMs: number): boolean {
    return nowMs >= (this.#troubles.get(nodeId)?.nextTryAtMs ?? nowMs);
  }

  /** Whether something is wrong that may be tried again now. */
  isDue(nowMs: number): boolean {
    return this.nodeIds.some((nodeId) => this.mayTry(nodeId, nowMs));
  }
}
