import { setTimeout as sleep } from 'node:timers/promises';
import { discoverTopology } from '../numa/discover.ts';
import { HotplugWatcher } from '../numa/hotplug.ts';
import type { SysFs } from '../numa/sysfs.ts';
import type { Topology } from '../numa/topology.ts';
import { resolveScope, sameScope } from './cgroup-scope.ts';
import { findConflicts } from './conflicts.ts';
import { AccessTrace } from './damon/access-trace.ts';
import type { RunningKdamond } from './damon/driver.ts';
import { DamonDriver } from './damon/driver.ts';
import { ExclusiveModuleError, ForeignKdamondError } from './damon/errors.ts';
import type { ProbedFeatures } from './damon/features.ts';
import { requireMigration } from './damon/features.ts';
import type { Receipt } from './damon/receipt.ts';
import { DecisionLog, policyChanges } from './decision-log.ts';
import { NoTiersError } from './errors.ts';
import type { Logger } from './logger.ts';
import type { Observation } from './observation.ts';
import { Observer } from './observer.ts';
import type { CgroupScope } from './plan.ts';
import { plan } from './plan.ts';
import type { Policy } from './policy.ts';
import type { DesiredKdamond } from './scheme.ts';
import { Serial } from './serial.ts';
import type { KdamondView, Status, TieringService } from './service.ts';
import type { NodeSnapshot } from './snapshot.ts';
import { nodeStatuses } from './status-view.ts';
import type { NodeOrders } from './tuner/order.ts';
import type { TunerState } from './tuner/tune.ts';
import { FRESH_TUNER, tune } from './tuner/tune.ts';

export interface TieringOptions {
  readonly sysfs: SysFs;
  readonly policy: Policy;
  /** Node ids from fast to slow; undefined: as the kernel says. */
  readonly tiers?: readonly (readonly number[])[];
  /** Wait while something else uses DAMON, rather than fail. */
  readonly waitForDamon: boolean;
  readonly switchOffDamonStat: boolean;
  readonly logger: Logger;
  /** The receipt that an earlier process left, if any. */
  readonly loadReceipt: () => Promise<Receipt | undefined>;
  /** Durable once it resolves; undefined: nothing of ours is left in the kernel. */
  readonly saveReceipt: (receipt: Receipt | undefined) => Promise<void>;
  /** For tests: kernel features to pretend absent. */
  readonly featureMask?: readonly string[];
}

export interface TieringRuntime extends TieringService {
  /** Takes DAMON and begins. Throws typed errors (`code`), having changed nothing. */
  start(): Promise<void>;
  /** Leaves DAMON as it was found. */
  stop(): Promise<void>;
  /** Resolves when every monitored node has been seen once. */
  readonly ready: Promise<void>;
}

const WAIT_FOR_DAMON_MS = 2_000;
const SCOPE_EVERY_MS = 5_000;
const HEALTH_EVERY_MS = 5_000;
/** Statistics are read this long after the last order, to catch a pass that was under way. */
const MOVING_FOR_MS = 15_000;
/**
 * A decision needs a snapshot from after the pass that followed the last commit. Linux 6.12 takes a commit at the end of an aggregation and puts the
 * pass off to the next: a snapshot this soon after the commit, in aggregations, cannot show the pass.
 */
const SETTLE_SHARE = 0.2;
/** How long the others are waited for, in aggregations. */
const LATE_SHARE = 0.75;
/** Sampling intervals end a little late, all of them. */
const AGGREGATION_SLACK_MS = 20;
const FIRST_RETRY_MS = 2_000;
const MAX_RETRY_MS = 60_000;

/** Makes the engine; nothing happens until start(). */
export async function createTiering(options: TieringOptions): Promise<TieringRuntime> {
  return new Controller(options);
}

/** The loop: observe -> decide (pure) -> apply, once an aggregation. Calls from the API run between ticks. */
class Controller implements TieringRuntime {
  readonly #options: TieringOptions;
  readonly #logger: Logger;
  readonly #driver: DamonDriver;
  #trace: AccessTrace | undefined;
  #traceMaxRegions = 0;
  readonly #observer: Observer;
  readonly #decisions: DecisionLog;
  readonly #hotplug: HotplugWatcher;
  readonly #between = new Serial();
  readonly #abort = new AbortController();
  readonly ready: Promise<void>;
  #becomeReady: () => void = () => undefined;
  #isReady = false;
  #policy: Policy;
  #topology: Topology = { nodes: [], tiers: [], tierSource: 'kernel', paths: [] };
  #features: ProbedFeatures | undefined;
  #scope: CgroupScope = { include: [], exclude: [] };
  #scopeAtMs = 0;
  #healthAtMs = 0;
  #tuner: TunerState = FRESH_TUNER;
  #orders: readonly NodeOrders[] = [];
  #observation: Observation | undefined;
  #hotBytesWaiting = 0;
  #pingPongBytes = 0;
  #problem: string | undefined;
  #stopped = false;
  #starting: Promise<void> = Promise.resolve();
  #loop: Promise<void> = Promise.resolve();
  readonly #startedAt = new Date();
  /** By node: when its kdamond took the last change, and the last order that lets something move. */
  readonly #appliedAtMs = new Map<number, number>();
  readonly #orderedAtMs = new Map<number, number>();
  /** By node: snapshots that decisions were made on. */
  readonly #decidedOnMs = new Map<number, number>();
  readonly #retries = new Map<number, { atMs: number; delayMs: number }>();

  constructor(options: TieringOptions) {
    this.#options = options;
    this.#logger = options.logger;
    this.#policy = options.policy;
    this.#driver = new DamonDriver({
      sysfs: options.sysfs,
      saveReceipt: options.saveReceipt,
      mayStopDamonStat: options.switchOffDamonStat,
      ...(options.featureMask && { featureMask: options.featureMask }),
    });
    this.#observer = new Observer(options.sysfs, this.#driver);
    this.#decisions = new DecisionLog(options.logger);
    this.#hotplug = new HotplugWatcher(options.sysfs, {
      log: options.logger,
      ...(options.tiers && { tiers: options.tiers }),
      onChange: (topology, description) => this.#topologyChanged(topology, description),
    });
    this.ready = new Promise((resolve) => {
      this.#becomeReady = resolve;
    });
  }

  start(): Promise<void> {
    this.#starting = this.#start();
    return this.#starting;
  }

  async #start(): Promise<void> {
    const { sysfs, tiers } = this.#options;
    this.#topology = await discoverTopology(sysfs, tiers === undefined ? {} : { tiers });
    if (this.#topology.tiers.length < 2) throw new NoTiersError(this.#topology.nodes.map((node) => node.nodeId));
    this.#scope = await resolveScope(sysfs, this.#policy.cgroups);
    const { features, adopted, restarted } = await this.#prepare();
    requireMigration(features);
    this.#features = features;
    for (const conflict of await findConflicts(sysfs)) this.#logger.warn({}, conflict);
    try {
      await this.#begin(adopted, restarted);
    } catch (error) {
      await this.#release();
      throw error;
    }
    this.#hotplug.start(this.#topology);
    this.#loop = this.#run();
  }

  async #begin(adopted: readonly RunningKdamond[], restarted: readonly number[]): Promise<void> {
    if (adopted.length === 0) {
      const kdamonds = await this.#driver.start(this.#desired([]));
      for (const { index, pid, desired } of kdamonds) {
        this.#logger.info(
          {},
          `kdamond ${index} (pid ${pid}) watches node ${desired.nodeId}: ${describeMonitoring(desired)}`,
        );
      }
    } else {
      const pids = adopted.map(({ index, pid, desired }) => `kdamond ${index} (pid ${pid}, node ${desired.nodeId})`);
      this.#logger.info({}, `going on with kdamonds of an earlier run: ${pids.join(', ')}`);
      if (restarted.length > 0)
        this.#logger.warn({}, `kdamonds that had died were started again: ${restarted.join(', ')}`);
      await this.#applyAll(this.#desired([]));
    }
    await this.#followKdamonds();
  }

  async stop(): Promise<void> {
    if (this.#stopped) return;
    this.#stopped = true;
    this.#abort.abort();
    // A start under way must not take DAMON after it was released.
    await this.#starting.catch(() => undefined);
    await this.#hotplug.stop();
    await this.#loop;
    await this.#between.run(() => this.#release());
  }

  async #release(): Promise<void> {
    await this.#trace?.stop();
    this.#trace = undefined;
    for (const failure of await this.#driver.stop()) {
      this.#logger.error({}, `DAMON could not be put back: ${failure.path} to "${failure.value}": ${failure.reason}`);
    }
  }

  status(): Status {
    const now = Date.now();
    const moving = this.#orders.some((order) => isOn(order));
    const state = this.#stopped
      ? 'stopped'
      : this.#problem !== undefined
        ? 'degraded'
        : !this.#isReady
          ? 'starting'
          : moving
            ? 'moving'
            : 'settled';
    return {
      state,
      ...(this.#problem !== undefined && { problem: this.#problem }),
      engine: 'damos',
      dryRun: this.#policy.dryRun,
      startedAt: this.#startedAt.toISOString(),
      uptimeSeconds: Math.round((now - this.#startedAt.getTime()) / 1000),
      nodes: nodeStatuses(this.#topology, this.#policy, this.#observation, this.#orders),
      promotedBytes: this.#observer.flows.promotedBytes,
      demotedBytes: this.#observer.flows.demotedBytes,
      ...this.#observer.flows.rates(monotonicMs()),
      hotBytesWaiting: this.#hotBytesWaiting,
      pingPongBytes: this.#pingPongBytes,
    };
  }

  topology(): Topology {
    return this.#topology;
  }

  policy(): Policy {
    return this.#policy;
  }

  schemes(): readonly KdamondView[] {
    return this.#driver.kdamonds.map(({ index, pid, desired }) => {
      const stats = this.#observer.stats.get(desired.nodeId);
      return {
        index,
        pid,
        nodeId: desired.nodeId,
        samplingIntervalUs: desired.samplingIntervalUs,
        aggregationIntervalUs: desired.aggregationIntervalUs,
        minRegions: desired.minRegions,
        maxRegions: desired.maxRegions,
        nrRegions: this.#observer.snapshots.get(desired.nodeId)?.regions.length ?? 0,
        schemes: desired.schemes.map((scheme, position) => {
          const own = stats?.[position];
          return { index: position, scheme, ...(own && { stats: own }) };
        }),
      };
    });
  }

  snapshots(): readonly NodeSnapshot[] {
    return [...this.#observer.snapshots.values()].sort((a, b) => a.nodeId - b.nodeId);
  }

  setPolicy(policy: Policy): Promise<void> {
    return this.#between.run(async () => {
      const changes = policyChanges(this.#policy, policy);
      if (changes.length === 0) return;
      const before = { policy: this.#policy, scope: this.#scope };
      this.#policy = policy;
      try {
        this.#scope = await resolveScope(this.#options.sysfs, policy.cgroups);
        // Orders were made for the old policy: off until the next tick.
        await this.#applyAll(this.#desired([]));
      } catch (error) {
        this.#policy = before.policy;
        this.#scope = before.scope;
        throw error;
      }
      this.#logger.info({}, `policy changed: ${changes.join(', ')}`);
    });
  }

  async #prepare() {
    for (let waiting = false; ; waiting = true) {
      try {
        return await this.#driver.prepare(await this.#options.loadReceipt());
      } catch (error) {
        const inUse = error instanceof ForeignKdamondError || error instanceof ExclusiveModuleError;
        if (!inUse || !this.#options.waitForDamon) throw error;
        if (!waiting) this.#logger.warn({}, `waiting for DAMON: ${error.message}`);
        await sleep(WAIT_FOR_DAMON_MS, undefined, { signal: this.#abort.signal });
      }
    }
  }

  #desired(orders: readonly NodeOrders[]): readonly DesiredKdamond[] {
    if (this.#features === undefined) return [];
    return plan({
      topology: this.#topology,
      policy: this.#policy,
      features: this.#features,
      scope: this.#scope,
      orders,
    });
  }

  async #run(): Promise<void> {
    const { signal } = this.#abort;
    while (!signal.aborted) {
      await sleep(this.#untilNextLookMs(), undefined, { signal }).catch(() => undefined);
      if (signal.aborted) return;
      await this.#between.run(() => this.#tick()).catch((error: unknown) => this.#failed(error));
    }
  }

  /** Until the next aggregation should be over; then often, as a kdamond that migrates is late. Waking up is what an idle daemon costs. */
  #untilNextLookMs(): number {
    const { aggregationIntervalMs } = this.#policy.monitoring;
    const often = Math.min(200, Math.max(20, aggregationIntervalMs / 8));
    const nowMs = monotonicMs();
    const due = this.#driver.kdamonds.map(
      ({ desired }) => (this.#observer.snapshots.get(desired.nodeId)?.takenAtMs ?? nowMs) + aggregationIntervalMs,
    );
    const lastDueMs = Math.max(nowMs, ...due) + AGGREGATION_SLACK_MS - nowMs;
    return Math.min(aggregationIntervalMs + AGGREGATION_SLACK_MS, Math.max(often, lastDueMs));
  }

  async #tick(): Promise<void> {
    if (this.#trace !== undefined) await this.#observer.drain(this.#trace);
    const nowMs = monotonicMs();
    await this.#keepHealthy(nowMs);
    await this.#keepScope(nowMs);
    if (!this.#shouldDecide(nowMs)) return;
    const kdamonds = this.#driver.kdamonds;
    const moving = kdamonds.filter(
      ({ desired }) => nowMs - (this.#orderedAtMs.get(desired.nodeId) ?? 0) < MOVING_FOR_MS,
    );
    const nodeIds = this.#topology.nodes.map((node) => node.nodeId);
    this.#observation = await this.#observer.observe(nodeIds, moving, nowMs);
    for (const snapshot of this.#observer.snapshots.values())
      this.#decidedOnMs.set(snapshot.nodeId, snapshot.takenAtMs);

    const tuning = tune(this.#tuner, this.#observation, this.#topology, this.#policy);
    this.#tuner = tuning.state;
    this.#orders = tuning.orders;
    this.#hotBytesWaiting = tuning.hotBytesWaiting;
    this.#pingPongBytes = tuning.pingPongBytes;
    this.#decisions.record(tuning.orders, (nodeId, direction) => {
      const path = this.#topology.paths.find((candidate) => candidate.nodeId === nodeId);
      return direction === 'promotion' ? path?.promotionTarget : path?.demotionTarget;
    });
    for (const order of tuning.orders) if (isOn(order)) this.#orderedAtMs.set(order.nodeId, nowMs);
    await this.#applyAll(this.#desired(tuning.orders));
    this.#problem = undefined;
  }

  /** A decision is due when every node has a snapshot from after its last change, or one has and the others are late. */
  #shouldDecide(nowMs: number): boolean {
    const { aggregationIntervalMs } = this.#policy.monitoring;
    const kdamonds = this.#driver.kdamonds;
    if (kdamonds.length === 0) return false;
    const fresh = kdamonds.filter(({ desired }) => {
      const snapshot = this.#observer.snapshots.get(desired.nodeId);
      if (snapshot === undefined || snapshot.takenAtMs <= (this.#decidedOnMs.get(desired.nodeId) ?? 0)) return false;
      const settledMs = (this.#appliedAtMs.get(desired.nodeId) ?? 0) + SETTLE_SHARE * snapshot.aggregationIntervalMs;
      return snapshot.takenAtMs >= settledMs;
    });
    if (!this.#isReady && kdamonds.every(({ desired }) => this.#observer.snapshots.has(desired.nodeId))) {
      this.#isReady = true;
      this.#becomeReady();
    }
    if (fresh.length === kdamonds.length) return true;
    if (fresh.length === 0) return false;
    // A node that was just changed is late only once the pass that followed could have been.
    const dueMs = Math.max(
      ...fresh.map(({ desired }) => this.#observer.snapshots.get(desired.nodeId)?.takenAtMs ?? 0),
      ...kdamonds.map(({ desired }) => (this.#appliedAtMs.get(desired.nodeId) ?? 0) + aggregationIntervalMs),
    );
    return nowMs - dueMs > LATE_SHARE * aggregationIntervalMs;
  }

  /** Brings every kdamond to its desired state; nodes that came are started, nodes that went are stopped. */
  async #applyAll(desired: readonly DesiredKdamond[]): Promise<void> {
    let changedKdamonds = false;
    for (const { index, desired: current } of this.#driver.kdamonds) {
      if (desired.some((kdamond) => kdamond.nodeId === current.nodeId)) continue;
      await this.#driver.stopOne(index);
      this.#observer.forget(current.nodeId);
      this.#logger.info({}, `kdamond ${index} stopped: node ${current.nodeId} has nothing to watch any more`);
      changedKdamonds = true;
    }
    for (const kdamond of desired) {
      const running = this.#driver.kdamonds.find((candidate) => candidate.desired.nodeId === kdamond.nodeId);
      if (running === undefined) {
        const started = await this.#driver.startOne(kdamond);
        this.#logger.info(
          {},
          `kdamond ${started.index} (pid ${started.pid}) watches node ${kdamond.nodeId}: ${describeMonitoring(kdamond)}`,
        );
        changedKdamonds = true;
        continue;
      }
      const { writes, restarted } = await this.#driver.apply(running.index, kdamond);
      if (writes > 0) this.#appliedAtMs.set(kdamond.nodeId, monotonicMs());
      changedKdamonds ||= restarted;
    }
    const maxRegions = Math.max(0, ...desired.map((kdamond) => kdamond.maxRegions));
    if (changedKdamonds || maxRegions > this.#traceMaxRegions) await this.#followKdamonds();
  }

  async #followKdamonds(): Promise<void> {
    const kdamonds = this.#driver.kdamonds;
    await this.#traceKdamonds(kdamonds);
    for (const { index, desired } of kdamonds) {
      // The base that later growth is measured from.
      const stats = await this.#driver.stats(index);
      this.#observer.flows.record(desired.nodeId, desired.schemes, stats, monotonicMs());
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

  /** A kdamond that somebody switched off, or that died, is started again, later and later when that keeps happening. */
  async #keepHealthy(nowMs: number): Promise<void> {
    if (nowMs - this.#healthAtMs < HEALTH_EVERY_MS) return;
    this.#healthAtMs = nowMs;
    for (const { index, nodeId, pid, alive } of await this.#driver.alive()) {
      if (alive) continue;
      const retry = this.#retries.get(nodeId) ?? { atMs: nowMs, delayMs: FIRST_RETRY_MS };
      this.#problem = `kdamond ${index} (pid ${pid}, node ${nodeId}) is off: it died or someone switched it off`;
      if (nowMs < retry.atMs) continue;
      this.#retries.set(nodeId, { atMs: nowMs + retry.delayMs, delayMs: Math.min(MAX_RETRY_MS, retry.delayMs * 2) });
      this.#logger.warn({}, `${this.#problem}; starting it again`);
      this.#observer.forget(nodeId);
      await this.#applyAll(this.#desired([]));
    }
  }

  async #keepScope(nowMs: number): Promise<void> {
    const { cgroups } = this.#policy;
    if (cgroups.include.length + cgroups.exclude.length === 0 || nowMs - this.#scopeAtMs < SCOPE_EVERY_MS) return;
    this.#scopeAtMs = nowMs;
    const scope = await resolveScope(this.#options.sysfs, cgroups);
    if (sameScope(scope, this.#scope)) return;
    this.#scope = scope;
    this.#logger.info(
      {},
      `cgroups in scope changed: ${scope.include.length} included, ${scope.exclude.length} excluded`,
    );
  }

  async #topologyChanged(topology: Topology, description: string): Promise<void> {
    await this.#between.run(async () => {
      this.#logger.info({}, `memory changed: ${description}`);
      this.#topology = topology;
      await this.#applyAll(this.#desired(this.#orders));
    });
  }

  #failed(error: unknown): void {
    const message = error instanceof Error ? error.message : String(error);
    if (message !== this.#problem) this.#logger.error({ err: error }, `tick failed: ${message}`);
    this.#problem = message;
  }
}

/** CLOCK_MONOTONIC, the clock of the trace, in milliseconds. */
function monotonicMs(): number {
  return Number(process.hrtime.bigint()) / 1e6;
}

function isOn(order: NodeOrders): boolean {
  return (order.promotion?.budgetBytes ?? 0) > 0 || (order.demotion?.budgetBytes ?? 0) > 0;
}

function describeMonitoring(kdamond: DesiredKdamond): string {
  const bytes = kdamond.ranges.reduce((total, range) => total + range.end - range.start, 0);
  return (
    `${Math.round(bytes / 1024 / 1024)} MiB in ${kdamond.ranges.length} range(s), ${kdamond.minRegions} to ${kdamond.maxRegions} regions, ` +
    `sampling ${kdamond.samplingIntervalUs / 1000} ms, aggregation ${kdamond.aggregationIntervalUs / 1000} ms`
  );
}
