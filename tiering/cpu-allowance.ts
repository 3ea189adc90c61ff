/** A pause of less is not worth a timer. */
const SHORTEST_PAUSE_MS = 2;
/** What was not used is kept for so long, and no longer: enough for reads and calls that are waited for in between. */
const CREDIT_MS = 50;
/** What else the process used is forgotten where it comes to more than is paid back in so long. */
const REMEMBERED_MS = 3_000;

/** Processor time of this process so far, in milliseconds. */
export function processCpuMs(): number {
  const { user, system } = process.cpuUsage();
  return (user + system) / 1000;
}

export interface CpuAllowanceOptions {
  /** CLOCK_MONOTONIC in milliseconds. */
  readonly nowMs: () => number;
  /** Processor time of this process so far, in milliseconds. */
  readonly cpuMs: () => number;
  readonly sleep: (ms: number, signal: AbortSignal) => Promise<void>;
}

/**
 * Keeps the whole process within a share of one core, by making work wait. All that is used is a debt in processor time, which time pays back, whether work
 * goes on, has ended or was aborted: the next to begin waits for the rest. What the process uses while no work goes on, as for watching, answers and what
 * Node compiles, takes no more than half of what time pays, so that it cannot hold up work for good.
 */
export class CpuAllowance {
  readonly #options: CpuAllowanceOptions;
  #workDebtMs = 0;
  #otherDebtMs = 0;
  #share = 1;
  #working = 0;
  #countedAtMs: number;
  #countedCpuMs: number;

  constructor(options: CpuAllowanceOptions) {
    this.#options = options;
    this.#countedAtMs = options.nowMs();
    this.#countedCpuMs = options.cpuMs();
  }

  /** From now on, also for work that goes on already. `maxShare`: of one core. */
  limitTo(maxShare: number): void {
    this.#count();
    this.#share = maxShare;
    this.#bound();
  }

  /** Counts what the process uses during the work as the work's, except while that waits; several works at a time count once. `maxShare`: of one core, from now on. */
  async during<T>(maxShare: number, work: () => Promise<T>): Promise<T> {
    this.limitTo(maxShare);
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
   * counted as the work's, before the pause begins.
   */
  async pause(signal: AbortSignal, underWay?: Promise<unknown>): Promise<void> {
    this.#count();
    if (this.#owedMs() < SHORTEST_PAUSE_MS) return;
    await underWay;
    await this.#without(async () => {
      for (let waitMs = this.#owedMs(); waitMs >= SHORTEST_PAUSE_MS; waitMs = this.#owedMs()) {
        if (signal.aborted) return;
        await this.#options.sleep(waitMs, signal);
        this.#count();
      }
    });
  }

  /** Waits, as part of a work, until another work has ended: what the process uses meanwhile is not this work's. */
  waitFor(otherWork: Promise<unknown>): Promise<unknown> {
    return this.#without(() => otherWork);
  }

  async #without<T>(wait: () => Promise<T>): Promise<T> {
    this.#count();
    this.#working -= 1;
    try {
      return await wait();
    } finally {
      this.#count();
      this.#working += 1;
    }
  }

  /** Time that pays back what the work has used, when nothing else is used meanwhile. */
  #owedMs(): number {
    return (this.#workDebtMs + Math.min(this.#workDebtMs, this.#otherDebtMs)) / this.#share;
  }

  #count(): void {
    const { nowMs, cpuMs } = this.#options;
    const [atMs, cpuNowMs] = [nowMs(), cpuMs()];
    const usedMs = cpuNowMs - this.#countedCpuMs;
    if (this.#working > 0) this.#workDebtMs += usedMs;
    else this.#otherDebtMs += usedMs;
    const paidMs = (atMs - this.#countedAtMs) * this.#share;
    const paidForOtherMs = Math.min(this.#otherDebtMs, paidMs / 2);
    this.#otherDebtMs -= paidForOtherMs;
    this.#workDebtMs -= paidMs - paidForOtherMs;
    this.#bound();
    this.#countedAtMs = atMs;
    this.#countedCpuMs = cpuNowMs;
  }

  #bound(): void {
    this.#workDebtMs = Math.max(this.#workDebtMs, -CREDIT_MS * this.#share);
    this.#otherDebtMs = Math.min(this.#otherDebtMs, REMEMBERED_MS * this.#share);
  }
}
