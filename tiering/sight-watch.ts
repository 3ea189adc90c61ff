/** So many aggregations may be missed: a busy kdamond is late, and the trace may lose one. */
const MISSED_AGGREGATIONS = 3;
const LEAST_LATE_MS = 1_500;
/** A kdamond that answers has ended its pass: after so many aggregations more it must have been seen. */
const AGGREGATIONS_AFTER_ANSWER = 2;
const SLACK_MS = 500;

interface Sight {
  readonly pid: number;
  readonly sinceMs: number;
  readonly answeredAtMs?: number;
  readonly isBlind: boolean;
}

/** Tells kdamonds that are busy from those that nothing is seen of, by node. Times are CLOCK_MONOTONIC in milliseconds. */
export class SightWatch {
  readonly #sights = new Map<number, Sight>();

  /** True when this kdamond is watched for the first time. */
  begins(nodeId: number, pid: number, nowMs: number): boolean {
    if (this.#sights.get(nodeId)?.pid === pid) return false;
    this.#sights.set(nodeId, { pid, sinceMs: nowMs, isBlind: false });
    return true;
  }

  /** `ask`: nothing has been seen for long, and it must answer first. @param seenAtMs when the newest snapshot was taken */
  look(nodeId: number, aggregationMs: number, seenAtMs: number | undefined, nowMs: number): 'fine' | 'ask' | 'wait' {
    const sight = this.#sights.get(nodeId);
    if (sight === undefined) return 'fine';
    const { pid, sinceMs, answeredAtMs } = sight;
    const lastMs = Math.max(sinceMs, seenAtMs ?? sinceMs);
    if (nowMs - lastMs <= Math.max(LEAST_LATE_MS, MISSED_AGGREGATIONS * aggregationMs)) {
      if (answeredAtMs !== undefined) this.#sights.set(nodeId, { pid, sinceMs, isBlind: false });
      return 'fine';
    }
    if (answeredAtMs === undefined || answeredAtMs < lastMs) return 'ask';
    const isBlind = nowMs - answeredAtMs > AGGREGATIONS_AFTER_ANSWER * aggregationMs + SLACK_MS;
    if (isBlind) this.#sights.set(nodeId, { ...sight, isBlind });
    return 'wait';
  }

  /** It has done what it was asked. */
  answered(nodeId: number, nowMs: number): void {
    const sight = this.#sights.get(nodeId);
    if (sight !== undefined) this.#sights.set(nodeId, { ...sight, answeredAtMs: nowMs });
  }

  isBlind(nodeId: number): boolean {
    return this.#sights.get(nodeId)?.isBlind ?? false;
  }

  forget(nodeId: number): void {
    this.#sights.delete(nodeId);
  }
}
