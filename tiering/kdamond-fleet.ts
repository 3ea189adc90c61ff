import type { SysFs } from '../numa/sysfs.ts';
import { AccessTrace } from './damon/access-trace.ts';
import type { DamonDriver, KdamondHealth, RunningKdamond } from './damon/driver.ts';
import { ForeignKdamondError } from './damon/errors.ts';
import type { Logger } from './logger.ts';
import { monotonicMs } from './monotonic.ts';
import type { Observer } from './observer.ts';
import type { OnSwitchOff } from './policy.ts';
import type { DesiredKdamond } from './scheme.ts';

const HEALTH_EVERY_MS = 5_000;
const FIRST_RETRY_MS = 2_000;
const MAX_RETRY_MS = 60_000;

export interface FleetOptions {
  readonly sysfs: SysFs;
  readonly driver: DamonDriver;
  readonly observer: Observer;
  readonly logger: Logger;
  /** A kdamond has taken a change. */
  readonly onApplied: (nodeId: number) => void;
}

/** Keeps tierd's kdamonds as they are desired to be, one for each node to watch, and the access trace on them. */
export class KdamondFleet {
  readonly #options: FleetOptions;
  readonly #retries = new Map<number, { readonly atMs: number; readonly delayMs: number }>();
  #trace: AccessTrace | undefined;
  #traceMaxRegions = 0;
  #healthAtMs = 0;
  #aside: string | undefined;
  #draining: Promise<void> | undefined;

  constructor(options: FleetOptions) {
    this.#options = options;
  }

  /** Why DAMON has been left to others; undefined: it has not. */
  get aside(): string | undefined {
    return this.#aside;
  }

  /** Starts all kdamonds, or goes on with those of an earlier run. Throws what DamonDriver.start() and AccessTrace.start() throw. */
  async start(desired: readonly DesiredKdamond[], adopted: readonly RunningKdamond[], restarted: readonly number[]) {
    const { driver, logger } = this.#options;
    if (adopted.length === 0) {
      for (const kdamond of await driver.start(desired)) logger.info({}, describeStart(kdamond));
    } else {
      const pids = adopted.map(
        (kdamond) => `kdamond ${kdamond.index} (pid ${kdamond.pid}, node ${kdamond.desired.nodeId})`,
      );
      logger.info({}, `going on with kdamonds of an earlier run: ${pids.join(', ')}`);
      if (restarted.length > 0) logger.warn({}, `kdamonds that had died were started again: ${restarted.join(', ')}`);
      await this.bring(desired);
    }
    await this.#follow();
    this.#aside = undefined;
    this.#retries.clear();
  }

  /** Takes in what the kernel has traced since the last call. Who calls meanwhile waits for the same. */
  drain(): Promise<void> {
    this.#draining ??= this.#drain().finally(() => {
      this.#draining = undefined;
    });
    return this.#draining;
  }

  /** Brings every kdamond to its desired state; nodes that came are started, nodes that went are stopped. Nothing while DAMON is left to others. */
  async bring(desired: readonly DesiredKdamond[]): Promise<void> {
    if (this.#aside !== undefined) return;
    const { driver, observer, logger } = this.#options;
    let changed = false;
    for (const { index, desired: current } of driver.kdamonds) {
      if (desired.some((kdamond) => kdamond.nodeId === current.nodeId)) continue;
      await driver.stopOne(index);
      observer.forget(current.nodeId);
      logger.info({}, `kdamond ${index} stopped: node ${current.nodeId} has nothing to watch any more`);
      changed = true;
    }
    // What is to move less goes first: a commit may wait for a busy kdamond, and the others go on with their old budgets meanwhile.
    const growth = (kdamond: DesiredKdamond) => {
      const before = driver.kdamonds.find((candidate) => candidate.desired.nodeId === kdamond.nodeId);
      return budgetBytes(kdamond) - (before === undefined ? 0 : budgetBytes(before.desired));
    };
    for (const kdamond of desired.toSorted((a, b) => growth(a) - growth(b))) {
      const running = driver.kdamonds.find((candidate) => candidate.desired.nodeId === kdamond.nodeId);
      if (running === undefined) {
        logger.info({}, describeStart(await driver.startOne(kdamond)));
        changed = true;
        continue;
      }
      const { writes, restarted } = await driver.apply(running.index, kdamond);
      if (writes > 0) this.#options.onApplied(kdamond.nodeId);
      changed ||= restarted;
    }
    const maxRegions = Math.max(0, ...desired.map((kdamond) => kdamond.maxRegions));
    if (changed || maxRegions > this.#traceMaxRegions) await this.#follow();
  }

  /**
   * Looks every few seconds for kdamonds that died or that somebody switched off, and does as the operator wants: starts them again, later and later when
   * that keeps happening and not before others have left DAMON, or steps aside. Gives what is wrong, for people; undefined when nothing is.
   */
  async keepAlive(
    desired: () => readonly DesiredKdamond[],
    onSwitchOff: OnSwitchOff,
    nowMs: number,
  ): Promise<string | undefined> {
    const { driver, observer, logger } = this.#options;
    // What is known already must not wait, or it would be started again as a matter of course.
    const isDue = driver.hasLost || nowMs - this.#healthAtMs >= HEALTH_EVERY_MS;
    if (this.#aside !== undefined || !isDue) return undefined;
    this.#healthAtMs = nowMs;
    const off = (await driver.alive()).filter(({ alive }) => !alive);
    const [first] = off;
    if (first === undefined) return undefined;
    if (onSwitchOff === 'stepAside') {
      await this.#stepAside(first);
      return undefined;
    }
    const foreign = await this.#foreign();
    if (foreign !== undefined) return `${describeOff(first)}; ${foreign}`;
    for (const health of off) {
      const { nodeId } = health;
      const retry = this.#retries.get(nodeId) ?? { atMs: nowMs, delayMs: FIRST_RETRY_MS };
      if (nowMs < retry.atMs) continue;
      this.#retries.set(nodeId, { atMs: nowMs + retry.delayMs, delayMs: Math.min(MAX_RETRY_MS, retry.delayMs * 2) });
      logger.warn({}, `${describeOff(health)}; starting it again`);
      observer.forget(nodeId);
      await this.bring(desired());
    }
    return describeOff(first);
  }

  /** What else runs DAMON, in words. */
  async #foreign(): Promise<string | undefined> {
    try {
      await this.#options.driver.refuseForeign();
      return undefined;
    } catch (error) {
      if (error instanceof ForeignKdamondError) return error.message;
      throw error;
    }
  }

  /** Gives DAMON back, as far as it is still ours. */
  async #stepAside(health: KdamondHealth): Promise<void> {
    const { driver, observer, logger } = this.#options;
    const nodeIds = driver.kdamonds.map(({ desired }) => desired.nodeId);
    await this.stop();
    for (const nodeId of [health.nodeId, ...nodeIds]) observer.forget(nodeId);
    this.#aside = `${describeOff(health)}. DAMON is left alone (onSwitchOff: stepAside) until POST /v1/resume, or "tierd resume"`;
    logger.warn({}, this.#aside);
  }

  /** Ends the trace and puts DAMON back as it was found. */
  async stop(): Promise<void> {
    await this.#trace?.stop();
    this.#trace = undefined;
    for (const { path, value, reason } of await this.#options.driver.stop()) {
      this.#options.logger.error({}, `DAMON could not be put back: ${path} to "${value}": ${reason}`);
    }
  }

  async #drain(): Promise<void> {
    if (this.#trace !== undefined) await this.#options.observer.drain(this.#trace);
  }

  async #follow(): Promise<void> {
    const { driver, observer } = this.#options;
    const { kdamonds } = driver;
    await this.#traceKdamonds(kdamonds);
    for (const { index, desired } of kdamonds) {
      // The base that later growth is measured from.
      observer.flows.record(desired.nodeId, desired.schemes, await driver.stats(index), monotonicMs());
    }
  }

  /** Traces exactly these kdamonds; a larger buffer than before takes a new trace. */
  async #traceKdamonds(kdamonds: readonly RunningKdamond[]): Promise<void> {
    const pids = kdamonds.map(({ pid }) => pid);
    const maxRegions = Math.max(0, ...kdamonds.map(({ desired }) => desired.maxRegions));
    if (this.#trace !== undefined && maxRegions <= this.#traceMaxRegions) return this.#trace.watch(pids);
    await this.#trace?.stop();
    this.#traceMaxRegions = maxRegions;
    this.#trace = new AccessTrace({ sysfs: this.#options.sysfs, maxRegions, kdamonds: kdamonds.length });
    await this.#trace.start(pids);
  }
}

function budgetBytes(kdamond: DesiredKdamond): number {
  return kdamond.schemes.reduce((total, scheme) => total + scheme.quota.bytes, 0);
}

function describeOff({ index, pid, nodeId }: KdamondHealth): string {
  return `kdamond ${index} (pid ${pid}, node ${nodeId}) is off: it died or someone switched it off`;
}

function describeStart({ index, pid, desired }: RunningKdamond): string {
  const bytes = desired.ranges.reduce((total, range) => total + range.end - range.start, 0);
  return (
    `kdamond ${index} (pid ${pid}) watches node ${desired.nodeId}: ${Math.round(bytes / 1024 / 1024)} MiB in ` +
    `${desired.ranges.length} range(s), ${desired.minRegions} to ${desired.maxRegions} regions, ` +
    `sampling ${desired.samplingIntervalUs / 1000} ms, aggregation ${desired.aggregationIntervalUs / 1000} ms`
  );
}
