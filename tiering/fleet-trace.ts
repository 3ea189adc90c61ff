import type { SysFs } from '../numa/sysfs.ts';
import { AccessTrace } from './damon/access-trace.ts';
import type { RunningKdamond } from './damon/driver.ts';
import { TraceUnavailableError } from './damon/errors.ts';
import type { Logger } from './logger.ts';
import { NodeTroubles } from './node-troubles.ts';
import type { Observer } from './observer.ts';

export interface FleetTraceOptions {
  readonly sysfs: SysFs;
  readonly observer: Observer;
  readonly logger: Logger;
  /** CLOCK_MONOTONIC in milliseconds. */
  readonly nowMs: () => number;
}

/** What the traces have lost since start. */
export interface TraceLosses {
  /** Events that the kernel's buffer had no room for. */
  readonly lostEvents: number;
  /** Aggregations that were not whole. */
  readonly droppedAggregations: number;
}

const NO_LOSSES: TraceLosses = { lostEvents: 0, droppedAggregations: 0 };
/** Of all kdamonds together. */
const TRACE = 0;

/** The access trace on all kdamonds: the one at work stays until another one works, and what failed is tried again. */
export class FleetTrace {
  readonly #options: FleetTraceOptions;
  readonly #troubles = new NodeTroubles();
  #trace: AccessTrace | undefined;
  #pids = '';
  #maxRegions = 0;
  #isBroken = false;
  #made = 0;
  #lossesBefore = NO_LOSSES;
  #toldLosses = 0;
  #reason: string | undefined;

  constructor(options: FleetTraceOptions) {
    this.#options = options;
  }

  /** What is wrong with it, for people. */
  get problem(): string | undefined {
    return this.#reason;
  }

  get losses(): TraceLosses {
    const { lostEvents = 0, droppedAggregations = 0 } = this.#trace ?? {};
    return {
      lostEvents: this.#lossesBefore.lostEvents + lostEvents,
      droppedAggregations: this.#lossesBefore.droppedAggregations + droppedAggregations,
    };
  }

  /** Whether what failed may be tried again now. */
  get isDue(): boolean {
    return this.#reason !== undefined && this.#troubles.mayTry(TRACE, this.#options.nowMs());
  }

  /** Traces exactly these kdamonds; more regions than before take a larger buffer, and so a new trace. Throws TraceUnavailableError, and the old one goes on. */
  async follow(kdamonds: readonly RunningKdamond[]): Promise<void> {
    const maxRegions = Math.max(0, ...kdamonds.map(({ desired }) => desired.maxRegions));
    try {
      await this.#watch(kdamonds);
      const isEnough = this.#trace !== undefined && !this.#isBroken && maxRegions <= this.#maxRegions;
      if (!isEnough) {
        if (this.#trace !== undefined && this.#reason !== undefined && !this.isDue) return;
        await this.#makeAnew(kdamonds, maxRegions);
      }
    } catch (error) {
      this.#failed(messageOf(error));
      throw error;
    }
    if (this.#reason !== undefined) this.#options.logger.info({}, 'the access trace was made anew');
    this.#reason = undefined;
    this.#troubles.mended(TRACE);
  }

  /** It gives nothing although it should: the next follow() makes another one. */
  distrust(reason: string): void {
    this.#isBroken = true;
    this.#failed(reason);
  }

  /** Takes in what the kernel has traced since the last call; what cannot be read is a problem, and no error. */
  async drain(): Promise<void> {
    const trace = this.#trace;
    if (trace === undefined) return;
    try {
      await this.#options.observer.drain(trace);
    } catch (error) {
      if (!(error instanceof TraceUnavailableError)) throw error;
      if (trace === this.#trace) this.distrust(error.message);
      return;
    }
    this.#tellLosses();
  }

  async stop(): Promise<void> {
    const trace = this.#trace;
    this.#lossesBefore = this.losses;
    this.#trace = undefined;
    this.#pids = '';
    this.#maxRegions = 0;
    this.#isBroken = false;
    this.#reason = undefined;
    await trace?.stop();
  }

  async #watch(kdamonds: readonly RunningKdamond[]): Promise<void> {
    const pids = kdamonds.map(({ pid }) => pid);
    if (this.#trace === undefined || pids.join() === this.#pids) return;
    await this.#trace.watch(pids);
    this.#pids = pids.join();
  }

  async #makeAnew(kdamonds: readonly RunningKdamond[], maxRegions: number): Promise<void> {
    const pids = kdamonds.map(({ pid }) => pid);
    this.#made += 1;
    // The old one has its name until it is gone.
    const instanceName = `tierd-${process.pid}${this.#made === 1 ? '' : `-${this.#made}`}`;
    const trace = new AccessTrace({
      sysfs: this.#options.sysfs,
      maxRegions,
      kdamonds: kdamonds.length,
      instanceName,
    });
    await trace.start(pids);
    await this.drain();
    const old = this.#trace;
    this.#lossesBefore = this.losses;
    this.#trace = trace;
    this.#pids = pids.join();
    this.#maxRegions = maxRegions;
    this.#isBroken = false;
    await old?.stop();
  }

  #failed(reason: string): void {
    const { logger, nowMs } = this.#options;
    this.#reason = reason;
    if (this.#troubles.failed(TRACE, reason, nowMs())) logger.error({}, `${reason}; it is tried again`);
  }

  #tellLosses(): void {
    const { lostEvents, droppedAggregations } = this.losses;
    if (droppedAggregations <= this.#toldLosses) return;
    // Each time it has doubled: on a busy host there may be one in every look.
    this.#toldLosses = droppedAggregations * 2;
    this.#options.logger.warn(
      {},
      `the access trace has lost ${lostEvents} events and with them ${droppedAggregations} aggregations so far`,
    );
  }
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
