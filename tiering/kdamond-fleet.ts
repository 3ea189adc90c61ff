import type { SysFs } from '../numa/sysfs.ts';
import type { DamonDriver, KdamondHealth, LeftOn, RunningKdamond } from './damon/driver.ts';
import { DamonBusyError, DamonReleasedError, ForeignKdamondError, KdamondSilentError } from './damon/errors.ts';
import { STOP_BUDGET_MS } from './damon/stop-budget.ts';
import type { TraceLosses } from './fleet-trace.ts';
import { FleetTrace } from './fleet-trace.ts';
import type { Logger } from './logger.ts';
import { NodeTroubles } from './node-troubles.ts';
import type { Observer } from './observer.ts';
import type { OnSwitchOff } from './policy.ts';
import type { DesiredKdamond } from './scheme.ts';
import { isMigrating, kdamondOff } from './scheme-off.ts';
import { SightWatch } from './sight-watch.ts';
import { SilenceWatch } from './silence-watch.ts';

const HEALTH_EVERY_MS = 5_000;

export interface FleetOptions {
  readonly sysfs: SysFs;
  readonly driver: DamonDriver;
  readonly observer: Observer;
  readonly logger: Logger;
  /** CLOCK_MONOTONIC in milliseconds. */
  readonly nowMs: () => number;
  /** A kdamond has taken a change. */
  readonly onApplied: (nodeId: number) => void;
  /** For how long a kdamond may leave something unanswered before that is told. */
  readonly silenceMs?: number;
}

/**
 * Keeps tierd's kdamonds as they are desired to be, one for each node to watch, and the access trace on them. A node whose kdamond fails moves nothing, is tried
 * again later and later, and does not hold up the others.
 */
export class KdamondFleet {
  readonly #options: FleetOptions;
  readonly #trace: FleetTrace;
  readonly #troubles = new NodeTroubles();
  readonly #blindness = new NodeTroubles();
  readonly #sight = new SightWatch();
  readonly #silence: SilenceWatch;
  /** Nodes whose kdamonds have not taken what they shall be. */
  readonly #pending = new Set<number>();
  #healthAtMs = 0;
  #aside: string | undefined;
  #draining: Promise<void> | undefined;

  constructor(options: FleetOptions) {
    this.#options = options;
    this.#trace = new FleetTrace(options);
    this.#silence = new SilenceWatch(options.silenceMs);
  }

  /** Why DAMON has been left to others; undefined: it has not. */
  get aside(): string | undefined {
    return this.#aside;
  }

  /** What is wrong with single nodes or with the trace, for people; undefined: nothing. */
  get problem(): string | undefined {
    const told = [this.#troubles.problem, this.#blindness.problem, this.#trace.problem].filter(
      (text) => text !== undefined,
    );
    return told.length === 0 ? undefined : told.join('; ');
  }

  /** Nodes whose kdamonds have not taken yet what they shall be: it is tried again. */
  get pendingNodeIds(): readonly number[] {
    return [...this.#pending].sort((a, b) => a - b);
  }

  /** What the trace has lost since start. */
  get losses(): TraceLosses {
    return this.#trace.losses;
  }

  /**
   * Starts all kdamonds, or goes on with those of an earlier run. Throws what DamonDriver.start() throws, TraceUnavailableError, and what keeps every kdamond
   * from starting.
   */
  async start(desired: readonly DesiredKdamond[], adopted: readonly RunningKdamond[], restarted: readonly number[]) {
    const { driver, logger } = this.#options;
    this.#troubles.clear();
    this.#blindness.clear();
    if (adopted.length === 0) {
      const { running, failed } = await driver.start(desired);
      for (const kdamond of running) logger.info({}, describeStart(kdamond));
      for (const { nodeId, error } of failed) this.#note(nodeId, 'its kdamond does not start', error);
    } else {
      const pids = adopted.map(
        (kdamond) => `kdamond ${kdamond.index} (pid ${kdamond.pid}, node ${kdamond.desired.nodeId})`,
      );
      logger.info({}, `going on with kdamonds of an earlier run: ${pids.join(', ')}`);
      if (restarted.length > 0) logger.warn({}, `kdamonds that had died were started again: ${restarted.join(', ')}`);
      await this.#bringNodes(desired, true);
    }
    await this.#follow();
    this.#aside = undefined;
  }

  /** Takes in what the kernel has traced since the last call. Who calls meanwhile waits for the same. */
  drain(): Promise<void> {
    this.#draining ??= this.#trace.drain().finally(() => {
      this.#draining = undefined;
    });
    return this.#draining;
  }

  /**
   * Brings every kdamond to its desired state, as far as they take it; nodes that came are started, nodes that went are stopped. Nothing while DAMON is left to
   * others. Throws DamonBusyError, as no other node would fare better.
   */
  async bring(desired: readonly DesiredKdamond[]): Promise<void> {
    if (this.#aside !== undefined) return;
    await this.#bringAll(desired, false);
  }

  /** @param revives also those that died, or that somebody switched off: then it has been seen to whether they may be started again */
  async #bringAll(desired: readonly DesiredKdamond[], revives: boolean): Promise<void> {
    await this.#bringNodes(desired, revives);
    // What fails here is told, and is tried again.
    await this.#follow().catch(() => undefined);
  }

  /** The same for a change of policy, whole or not at all: when one kdamond or the trace refuses, all are as before. Throws what refused. */
  async change(desired: readonly DesiredKdamond[]): Promise<void> {
    if (this.#aside !== undefined) return;
    const { driver } = this.#options;
    // Of what is dead already the policy is not to blame: it is started with the new one.
    if (driver.kdamonds.length > 0) await driver.alive();
    const before = driver.kdamonds;
    const couldSee = this.#trace.problem === undefined;
    const changed: RunningKdamond[] = [];
    try {
      for (const kdamond of this.#leastFirst(desired)) {
        const running = before.find((candidate) => candidate.desired.nodeId === kdamond.nodeId);
        if (running === undefined) continue;
        changed.push(running);
        try {
          await this.#apply(running, kdamond);
        } catch (error) {
          // It refuses nothing: it takes the policy with the others, or later.
          if (!(error instanceof KdamondSilentError)) throw error;
          this.#note(kdamond.nodeId, 'its kdamond takes no change', error);
          this.#pending.add(kdamond.nodeId);
        }
      }
      await this.#follow().catch((error: unknown) => {
        if (couldSee) throw error;
      });
    } catch (error) {
      // What cannot be put back now is told, and the next decision brings it.
      for (const { desired: old } of changed) await this.#bringNode(old, true).catch(() => undefined);
      await this.#follow().catch(() => undefined);
      throw error;
    }
    // It is in force; what was in trouble before is tried again.
    await this.bring(desired).catch(() => undefined);
  }

  /** Ends what moves memory, on every kdamond that answers. */
  async quieten(): Promise<void> {
    for (const running of this.#options.driver.kdamonds) await this.#quieten(running);
  }

  /** Something of a node's kdamond has failed: it moves nothing until that has been tried again. Throws DamonBusyError on, which is of all. */
  async failed(nodeId: number, error: unknown): Promise<void> {
    if (error instanceof DamonBusyError) throw error;
    this.#note(nodeId, 'its kdamond fails', error);
    const running = this.#running(nodeId);
    if (running !== undefined) await this.#quieten(running);
  }

  /**
   * Looks every few seconds for kdamonds that died or that somebody switched off, and does as the operator wants: starts them again, later and later when
   * that keeps happening and not before others have left DAMON, or steps aside. What failed before is tried again. Gives what keeps it from that, for
   * people.
   */
  async keepAlive(
    desired: () => readonly DesiredKdamond[],
    onSwitchOff: OnSwitchOff,
    nowMs: number,
  ): Promise<string | undefined> {
    if (this.#aside !== undefined) return undefined;
    const { driver, observer, logger } = this.#options;
    const hasAnswered = this.#listen(nowMs);
    // What is known already must not wait, or it would be started again as a matter of course.
    const isOwed = hasAnswered || this.#isOwed(nowMs);
    const isDue = isOwed || driver.lostNodeIds.length > 0 || this.#trace.isDue || this.#troubles.isDue(nowMs);
    if (!isDue && nowMs - this.#healthAtMs < HEALTH_EVERY_MS) return undefined;
    this.#healthAtMs = nowMs;
    const healths = await driver.alive();
    for (const { nodeId, error } of healths) {
      if (error !== undefined) this.#note(nodeId, 'whether its kdamond runs cannot be read', error);
    }
    const off = healths.filter(({ alive }) => !alive);
    const [first] = off;
    if (first !== undefined) {
      if (onSwitchOff === 'stepAside') {
        await this.#stepAside(first);
        return undefined;
      }
      const foreign = await this.#foreign();
      if (foreign !== undefined) return `${describeOff(first)}; ${foreign}`;
      for (const health of off.filter(({ nodeId }) => this.#troubles.mayTry(nodeId, nowMs))) {
        logger.warn({}, `${describeOff(health)}; starting it again`);
        observer.forget(health.nodeId);
      }
    }
    if (first !== undefined || isOwed || this.#troubles.isDue(nowMs) || this.#trace.isDue)
      await this.#bringAll(desired(), true);
    return first === undefined ? undefined : describeOff(first);
  }

  /**
   * Nodes of which nothing has been seen for some aggregations though their kdamonds answer: what moves there nobody knows. Their schemes are switched off, and
   * the trace is made anew. A kdamond that does not answer is busy with a pass: that ends by itself, and shows then.
   */
  async blindNodes(): Promise<readonly number[]> {
    for (const running of this.#options.driver.kdamonds) await this.#lookAt(running);
    const blind = this.#options.driver.kdamonds.filter(({ desired }) => this.#sight.isBlind(desired.nodeId));
    for (const running of blind) {
      const { nodeId } = running.desired;
      const { logger, nowMs } = this.#options;
      if (!this.#blindness.mayTry(nodeId, nowMs())) continue;
      const reason = `no snapshot comes, though kdamond ${running.index} answers`;
      if (this.#blindness.failed(nodeId, reason, nowMs())) logger.error({}, `node ${nodeId}: ${reason}`);
      this.#trace.distrust(`the access trace shows nothing of node ${nodeId}`);
      await this.#quieten(running);
    }
    return blind.map(({ desired }) => desired.nodeId);
  }

  async #lookAt({ index, desired }: RunningKdamond): Promise<void> {
    const { driver, observer, logger, nowMs } = this.#options;
    const { nodeId, aggregationIntervalUs } = desired;
    const seenAtMs = observer.snapshots.get(nodeId)?.takenAtMs;
    const look = this.#sight.look(nodeId, aggregationIntervalUs / 1000, seenAtMs, nowMs());
    if (look === 'fine' && this.#blindness.mended(nodeId)) logger.info({}, `node ${nodeId} is seen again`);
    if (look !== 'ask') return;
    try {
      await driver.stats(index);
    } catch {
      // Others find it dead, or it is asked again.
      return;
    }
    this.#sight.answered(nodeId, nowMs());
    await this.drain();
  }

  /**
   * Switches off what answers, all at once, ends the trace and puts DAMON back as it was found, within the budget and whatever is under way. Gives the kdamonds
   * that may go on.
   */
  async stop(budgetMs = STOP_BUDGET_MS): Promise<readonly LeftOn[]> {
    const { driver, logger } = this.#options;
    const { leftOn, failures } = await driver.stop(budgetMs);
    await this.#trace.stop();
    this.#pending.clear();
    for (const { path, value, reason } of failures) {
      logger.error({}, `DAMON could not be put back: ${path} to "${value}": ${reason}`);
    }
    for (const { index, nodeId, reason } of leftOn) {
      logger.error({}, `kdamond ${index} (node ${nodeId}) could not be switched off and may go on: ${reason}`);
    }
    return leftOn;
  }

  /** Whether something that could not be brought may be tried again. */
  #isOwed(nowMs: number): boolean {
    const { silentNodeIds } = this.#options.driver;
    return this.pendingNodeIds.some(
      (nodeId) => !silentNodeIds.includes(nodeId) && !this.#silence.has(nodeId) && this.#troubles.mayTry(nodeId, nowMs),
    );
  }

  /** Whether one that was silent has answered; tells of those that have been silent for long. */
  #listen(nowMs: number): boolean {
    const { driver, logger } = this.#options;
    const { silentNodeIds } = driver;
    for (const nodeId of silentNodeIds) {
      this.#silence.begins(nodeId, nowMs);
      this.#noteSilence(nodeId);
    }
    const answered = this.#silence.answered(silentNodeIds, nowMs);
    for (const nodeId of answered) {
      this.#troubles.tryNow(nodeId, nowMs);
      logger.debug({}, `node ${nodeId}: nothing is open any more, its kdamond is asked again`);
    }
    return answered.length > 0;
  }

  #noteSilence(nodeId: number): void {
    const { logger, nowMs } = this.#options;
    if (!this.#silence.isLong(nodeId, nowMs())) return;
    const reason =
      'its kdamond does not answer: what it was told last may go on, and it is told the newest when it answers';
    if (this.#troubles.failed(nodeId, reason, nowMs())) logger.error({}, `node ${nodeId}: ${reason}`);
  }

  async #bringNodes(desired: readonly DesiredKdamond[], revives: boolean): Promise<void> {
    const { driver, observer, logger } = this.#options;
    for (const { index, desired: current } of driver.kdamonds) {
      const { nodeId } = current;
      if (desired.some((kdamond) => kdamond.nodeId === nodeId)) continue;
      this.#pending.delete(nodeId);
      try {
        await driver.stopOne(index);
        observer.forget(nodeId);
        this.#troubles.forget(nodeId);
        this.#blindness.forget(nodeId);
        this.#sight.forget(nodeId);
        this.#silence.forget(nodeId);
        logger.info({}, `kdamond ${index} stopped: node ${nodeId} has nothing to watch any more`);
      } catch (error) {
        this.#note(nodeId, `kdamond ${index} cannot be stopped`, error);
      }
    }
    const inTurn = this.#leastFirst(desired).filter(({ nodeId }) => revives || !driver.lostNodeIds.includes(nodeId));
    for (const [at, kdamond] of inTurn.entries()) {
      try {
        await this.#bringNode(kdamond);
      } catch (error) {
        for (const { nodeId } of inTurn.slice(at)) this.#pending.add(nodeId);
        throw error;
      }
    }
  }

  /** What is to move less goes first: a commit may wait for a busy kdamond, and the others go on with their old budgets meanwhile. */
  #leastFirst(desired: readonly DesiredKdamond[]): readonly DesiredKdamond[] {
    const growth = (kdamond: DesiredKdamond) => {
      const before = this.#running(kdamond.nodeId)?.desired;
      return budgetBytes(kdamond) - (before === undefined ? 0 : budgetBytes(before));
    };
    return desired.toSorted((a, b) => growth(a) - growth(b));
  }

  async #bringNode(kdamond: DesiredKdamond, atOnce = false): Promise<void> {
    const { driver, logger, nowMs } = this.#options;
    const { nodeId } = kdamond;
    const running = this.#running(nodeId);
    const endsOrders = running !== undefined && mayGoOn(running) && !mayMove(kdamond);
    if (!atOnce && !endsOrders && !this.#troubles.mayTry(nodeId, nowMs())) {
      this.#pending.add(nodeId);
      return;
    }
    try {
      if (running === undefined) {
        // Its orders wait for the next decision: on Linux 6.12 the first pass of a new scheme has no quota.
        logger.info({}, describeStart(await driver.startOne(kdamondOff(kdamond))));
        this.#sight.forget(nodeId);
      } else await this.#apply(running, kdamond);
      this.#pending.delete(nodeId);
      this.#silence.forget(nodeId);
      if (this.#troubles.mended(nodeId)) logger.info({}, `node ${nodeId} is served again`);
    } catch (error) {
      this.#pending.add(nodeId);
      if (error instanceof DamonBusyError || error instanceof DamonReleasedError) throw error;
      this.#note(nodeId, running === undefined ? 'its kdamond does not start' : 'its kdamond takes no change', error);
      const left = this.#running(nodeId);
      if (left !== undefined) await this.#quieten(left);
    }
  }

  async #apply({ index }: Pick<RunningKdamond, 'index'>, kdamond: DesiredKdamond): Promise<void> {
    const { writes } = await this.#options.driver.apply(index, kdamond);
    if (writes > 0) this.#options.onApplied(kdamond.nodeId);
  }

  /** A kdamond that does not take even that is switched off: nothing moves by it then. Of one that does not answer, nothing more can be asked. */
  async #quieten(running: RunningKdamond): Promise<void> {
    const { driver, observer, logger } = this.#options;
    const { index, desired } = running;
    const { nodeId } = desired;
    if (!mayGoOn(running)) return;
    try {
      await this.#apply(running, kdamondOff(desired));
    } catch (error) {
      if (error instanceof KdamondSilentError) {
        this.#note(nodeId, 'its kdamond takes no change', error);
        return;
      }
      try {
        await driver.stopOne(index);
        observer.forget(nodeId);
        logger.error({}, `kdamond ${index} (node ${nodeId}) is off, as its schemes could not be: ${messageOf(error)}`);
      } catch (offError) {
        this.#note(nodeId, `kdamond ${index} may go on to move memory`, offError);
      }
    }
  }

  #running(nodeId: number): RunningKdamond | undefined {
    return this.#options.driver.kdamonds.find(({ desired }) => desired.nodeId === nodeId);
  }

  #note(nodeId: number, what: string, error: unknown): void {
    const { logger, nowMs } = this.#options;
    if (error instanceof KdamondSilentError) {
      this.#silence.begins(nodeId, nowMs());
      this.#noteSilence(nodeId);
      return;
    }
    const reason = `${what}: ${messageOf(error)}`;
    if (this.#troubles.failed(nodeId, reason, nowMs())) logger.error({ err: error }, `node ${nodeId}: ${reason}`);
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
    this.#troubles.clear();
    this.#blindness.clear();
    this.#aside = `${describeOff(health)}. DAMON is left alone (onSwitchOff: stepAside) until POST /v1/resume, or "tierd resume"`;
    logger.warn({}, this.#aside);
  }

  async #follow(): Promise<void> {
    const { driver, observer, nowMs } = this.#options;
    const { kdamonds } = driver;
    await this.#trace.follow(kdamonds);
    for (const { index, pid, desired } of kdamonds) {
      if (!this.#sight.begins(desired.nodeId, pid, nowMs())) continue;
      try {
        // The base that later growth is measured from.
        observer.flows.record(desired.nodeId, desired.schemes, await driver.stats(index), nowMs());
      } catch (error) {
        this.#note(desired.nodeId, 'its statistics cannot be read', error);
      }
    }
  }
}

/** Also by what it has been told and has not confirmed. */
function mayGoOn({ desired, isUnconfirmed }: RunningKdamond): boolean {
  return isUnconfirmed || mayMove(desired);
}

function mayMove({ schemes }: DesiredKdamond): boolean {
  return schemes.some(isMigrating);
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

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
