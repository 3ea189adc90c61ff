/** A pause of less is not worth a timer. */
const SHORTEST_PAUSE_MS = 2;
/** What was not used is kept for so long, and no longer: enough for reads and calls that are waited for in between. */
const CREDIT_MS = 50;
/** The kernel adds up what another thread uses at its ticks only: what a call has taken that has just returned shows after so long (HZ=100, the rarest). */
const TICK_MS = 10;

export interface CpuAllowanceOptions {
  /** CLOCK_MONOTONIC in milliseconds. */
  readonly nowMs: () => number;
  /** Processor time of this process so far, in milliseconds. */
  readonly cpuMs: () => number;
  readonly sleep: (ms: number, signal: AbortSignal) => Promise<void>;
}

/**
 * Keeps work within a share of one core. What was used beyond it is a debt in processor time, which time pays back, whether work goes on, has ended or was
 * aborted: the next to begin waits for the rest. While everybody waits nothing is counted, for what the process uses then is not theirs.
 */
export class CpuAllowance {
  readonly #options: CpuAllowanceOptions;
  #debtMs = 0;
  #share = 1;
  #working = 0;
  #countedAtMs: number;
  #countedCpuMs: number;

  constructor(options: CpuAllowanceOptions) {
    this.#options = options;
    this.#countedAtMs = options.nowMs();
    this.#countedCpuMs = options.cpuMs();
  }

  /** Counts what the process uses during the work, except in pauses; several works at a time count once. `maxShare`: of one core, from now on. */
  async during<T>(maxShare: number, work: () => Promise<T>): Promise<T> {
    this.#count();
    this.#share = maxShare;
    this.#boundCredit();
    this.#working += 1;
    try {
      return await work();
    } finally {
      this.#count();
      this.#working -= 1;
    }
  }

  /**
   * Waits, as part of a work, until the debt is paid back or the signal comes. `underWay`: what other threads still do for this work; it is waited for, and
   * counted, before the pause begins.
   */
  async pause(signal: AbortSignal, underWay?: Promise<unknown>): Promise<void> {
    this.#count();
    if (this.#owedMs() < SHORTEST_PAUSE_MS) return;
    await underWay;
    await this.#options.sleep(TICK_MS, signal);
    this.#count();
    this.#working -= 1;
    try {
      for (let waitMs = this.#owedMs(); waitMs >= SHORTEST_PAUSE_MS; waitMs = this.#owedMs()) {
        if (signal.aborted) return;
        await this.#options.sleep(waitMs, signal);
        this.#count();
      }
    } finally {
      this.#count();
      this.#working += 1;
    }
  }

  /** Time that pays the debt back. */
  #owedMs(): number {
    return this.#debtMs / this.#share;
  }

  #count(): void {
    const { nowMs, cpuMs } = this.#options;
    const [atMs, usedMs] = [nowMs(), cpuMs()];
    if (this.#working > 0) this.#debtMs += usedMs - this.#countedCpuMs;
    this.#debtMs -= (atMs - this.#countedAtMs) * this.#share;
    this.#boundCredit();
    this.#countedAtMs = atMs;
    this.#countedCpuMs = usedMs;
  }

  #boundCredit(): void {
    this.#debtMs = Math.max(this.#debtMs, -CREDIT_MS * this.#share);
  }
}
