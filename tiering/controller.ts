import { setTimeout as sleep } from 'node:timers/promises';
import type { DiscoveryOptions } from '../numa/composition.ts';
import { discoverTopology } from '../numa/discover.ts';
import type { HotplugWatcher } from '../numa/hotplug.ts';
import { nodesLeftAlone } from '../numa/left-alone.ts';
import type { ProbeReport } from '../numa/probe/result.ts';
import type { SysFs } from '../numa/sysfs.ts';
import type { Topology } from '../numa/topology.ts';
import { ScopeResolver } from './cgroup-scope.ts';
import { tracedRegionsLimit } from './damon/access-trace.ts';
import type { DamonDriver, LeftOn, Prepared } from './damon/driver.ts';
import { ExclusiveModuleError, ForeignKdamondError } from './damon/errors.ts';
import type { ProbedFeatures } from './damon/features.ts';
import type { Receipt } from './damon/receipt.ts';
import type { ReceiptKeeper } from './damon/receipt-keeper.ts';
import { standDown } from './damon/stand-down.ts';
import { conflictsOf, diagnose } from './doctor/diagnose.ts';
import type { HostFacts } from './doctor/facts.ts';
import type { Finding } from './doctor/finding.ts';
import { gatherFacts } from './doctor/gather.ts';
import type { Engine, EngineName } from './engine.ts';
import { NoTiersError, StoppingError } from './errors.ts';
import type { EventLog } from './events/event-log.ts';
import type { History, HistoryAnswer, HistoryQuery } from './history/history.ts';
import { inTime } from './in-time.ts';
import type { Interleave } from './interleave/interleave.ts';
import type { MigrationJobs } from './jobs/migration-jobs.ts';
import type { KdamondFleet } from './kdamond-fleet.ts';
import { kdamondViews } from './kdamond-views.ts';
import type { Logger } from './logger.ts';
import { idleKdamonds } from './loop/desired-kdamonds.ts';
import { previewPolicy } from './loop/preview.ts';
import type { LoopRuntime } from './loop/runtime.ts';
import { statusOf } from './loop/status.ts';
import type { Observer } from './observer.ts';
import type { Policy } from './policy.ts';
import type { Probing, Quietly } from './probing.ts';
import { describeUnmatched } from './resolved-scope.ts';
import type { Heartbeat, KdamondView, PolicyPlans, Status, TieringService } from './service.ts';
import type { NodeSnapshot } from './snapshot.ts';
import type { CgroupSurvey, ProcessSurvey } from './survey/survey.ts';
import type { Surveys } from './survey/surveys.ts';

export interface TieringRuntime extends TieringService {
  /** Takes DAMON and begins. Throws typed errors (`code`), having changed nothing. */
  start(): Promise<void>;
  /** Leaves DAMON as it was found, within STOP_BUDGET_MS and whatever is under way. Gives the kdamonds that did not answer and may go on. */
  stop(): Promise<readonly LeftOn[]>;
  /** Resolves when every monitored node has been seen once. */
  readonly ready: Promise<void>;
}

export interface ControllerParts {
  readonly sysfs: SysFs;
  readonly engine: EngineName | 'auto';
  readonly waitForDamon: boolean;
  readonly loadReceipt: () => Promise<Receipt | undefined>;
  readonly logger: Logger;
  readonly receipts: Pick<ReceiptKeeper, 'problem'>;
  readonly driver: DamonDriver;
  readonly observer: Observer;
  readonly fleet: KdamondFleet;
  readonly scopes: ScopeResolver;
  readonly loop: LoopRuntime;
  readonly history: History;
  readonly events: EventLog;
  readonly probing: Probing;
  readonly discovery: DiscoveryOptions;
  readonly makeEngine: (name: EngineName) => Engine;
  readonly nowMs: () => number;
  readonly migrations: MigrationJobs;
  readonly interleave: Interleave;
  readonly surveys: Surveys;
  readonly hotplug: HotplugWatcher;
  readonly stopBudgetMs: number;
}

const WAIT_FOR_DAMON_MS = 2_000;

/** Starts and ends the loop, and answers the API from what it knows. What changes something runs between its ticks. */
export class Controller implements TieringRuntime {
  readonly #parts: ControllerParts;
  readonly #loop: LoopRuntime;
  readonly events: EventLog;
  readonly migrations: MigrationJobs;
  readonly interleave: Interleave;
  readonly ready: Promise<void>;
  readonly #abort = new AbortController();
  #features: ProbedFeatures | undefined;
  #starting: Promise<void> = Promise.resolve();
  #isStarting = false;
  #running: Promise<void> = Promise.resolve();
  readonly #triedToMeasure = new Set<number>();
  #measuring: Promise<void> = Promise.resolve();
  #stopping: Promise<readonly LeftOn[]> | undefined;
  readonly #startedAt = new Date();
  /** The clock of the day may be set meanwhile. */
  readonly #startedAtMs: number;

  constructor(parts: ControllerParts) {
    this.#parts = parts;
    this.#loop = parts.loop;
    this.events = parts.events;
    this.migrations = parts.migrations;
    this.interleave = parts.interleave;
    this.ready = parts.loop.ready;
    this.#startedAtMs = parts.nowMs();
  }

  start(): Promise<void> {
    this.#isStarting = true;
    this.#starting = this.#start().finally(() => {
      this.#isStarting = false;
    });
    return this.#starting;
  }

  async #start(): Promise<void> {
    const { sysfs, discovery, scopes, probing, hotplug } = this.#parts;
    const loop = this.#loop;
    await loop.dispatch({ type: 'started' });
    await this.#endOldOrders();
    await probing.restore();
    const topology = await probing.discover(() => discoverTopology(sysfs, discovery), this.#abort.signal);
    if (topology.tiers.length < 2) throw new NoTiersError(topology);
    await loop.dispatch({ type: 'discovered', topology });
    await loop.dispatch({ type: 'scopeChanged', scope: await scopes.resolve(loop.state.policy.cgroups) });
    this.#requireAtWork();
    const prepared = await this.#prepare();
    // A change of policy that comes meanwhile waits for what runs then.
    await loop.between(() => this.#takeDamon(prepared));
    for (const { nodeId } of nodesLeftAlone(topology)) this.#triedToMeasure.add(nodeId);
    hotplug.start(topology);
    this.#running = loop.run(this.#abort.signal);
  }

  async #takeDamon({ features, adopted, restarted }: Prepared): Promise<void> {
    const { fleet, logger, engine: wanted } = this.#parts;
    const loop = this.#loop;
    try {
      const engine = this.#parts.makeEngine(
        wanted === 'auto' ? (features.migrateActions ? 'damos' : 'move_pages') : wanted,
      );
      await engine.prepare(features);
      this.#features = features;
      await loop.useEngine(engine, features);
      logger.info({}, `engine ${engine.name}${wanted === 'auto' ? ', chosen by what the kernel can do' : ''}`);
      for (const conflict of conflictsOf(await this.#facts())) logger.warn({}, conflict);
      await this.#takeRegionLimit();
      this.#requireAtWork();
      await fleet.start(idleKdamonds(loop.state), adopted, restarted);
    } catch (error) {
      if (!loop.state.isStopped) await fleet.stop(this.#parts.stopBudgetMs);
      throw error;
    }
  }

  #requireAtWork(): void {
    if (this.#loop.state.isStopped) throw new StoppingError();
  }

  /** Before anything that takes long, or may fail: an earlier process may have been killed while memory moved. */
  async #endOldOrders(): Promise<void> {
    const { sysfs, loadReceipt, logger } = this.#parts;
    for (const { index, nodeId, result } of await standDown(sysfs, await loadReceipt())) {
      const which = `kdamond ${index} (node ${nodeId}) of an earlier run`;
      if (result === 'quiet') logger.info({}, `${which}: its schemes are off until the first decision`);
      else if (result === 'off') logger.warn({}, `${which}: switched off, as its schemes could not be`);
      else logger.error({}, `${which} may go on to move memory: ${result.reason}`);
    }
  }

  stop(): Promise<readonly LeftOn[]> {
    this.#stopping ??= this.#stop();
    return this.#stopping;
  }

  async #stop(): Promise<readonly LeftOn[]> {
    const { driver, fleet, surveys, hotplug, nowMs, logger, stopBudgetMs } = this.#parts;
    const deadlineMs = nowMs() + stopBudgetMs;
    const cutsStart = this.#isStarting;
    this.#loop.note({ type: 'stopped' });
    this.#abort.abort();
    // Before anything that may take long, or fail.
    const givenBack = fleet.stop(stopBudgetMs);
    const others = [
      () => surveys.stop(),
      () => this.migrations.stop(),
      // A start under way must not take DAMON after it was released.
      () => this.#starting.catch(() => undefined),
      () => hotplug.stop(),
      () => this.#measuring,
      () => this.#running,
      () => this.#loop.engine?.stop(),
    ].map(async (end) => end());
    const ended = Promise.allSettled(others);
    const leftOn = await givenBack;
    const results = (await inTime(ended, deadlineMs - nowMs())) ?? [];
    for (const result of results) {
      if (result.status === 'rejected') logger.error({ err: result.reason }, 'something did not end as it should');
    }
    if (!cutsStart || driver.isPrepared) return leftOn;
    const leftMs = deadlineMs - nowMs();
    return (await inTime(this.#giveBackOld(leftMs), leftMs)) ?? leftOn;
  }

  /** What an earlier process left, and the start that was cut off had not taken over yet. */
  async #giveBackOld(budgetMs: number): Promise<readonly LeftOn[]> {
    const { driver, fleet, loadReceipt, logger } = this.#parts;
    try {
      const receipt = await loadReceipt();
      if (receipt === undefined) return [];
      await driver.prepare(receipt);
    } catch (error) {
      logger.warn({ err: error }, 'what an earlier run left in DAMON was not put back');
      return [];
    }
    return fleet.stop(budgetMs);
  }

  status(): Status {
    const { observer, receipts, fleet, nowMs, engine } = this.#parts;
    const { promotedBytes, demotedBytes } = observer.flows;
    return statusOf(this.#loop.state, {
      wantedEngine: engine,
      startedAt: this.#startedAt,
      uptimeSeconds: Math.round((nowMs() - this.#startedAtMs) / 1000),
      promotedBytes,
      demotedBytes,
      ...observer.flows.rates(nowMs()),
      traceLosses: fleet.losses,
      receiptProblem: receipts.problem,
      accounts: this.#loop.engine?.accounts(),
    });
  }

  topology(): Topology {
    return this.#loop.state.topology;
  }

  policy(): Policy {
    return this.#loop.state.policy;
  }

  async diagnose(): Promise<readonly Finding[]> {
    return diagnose(await this.#facts(), describeUnmatched(this.#loop.state.scope));
  }

  #facts(): Promise<HostFacts> {
    const { driver, sysfs, discovery } = this.#parts;
    const ownKdamondPids = driver.kdamonds.map(({ pid }) => pid);
    return gatherFacts(sysfs, { ownKdamondPids, features: this.#features }, 'daemon', discovery);
  }

  heartbeat(): Heartbeat {
    return this.#loop.state.heartbeat;
  }

  schemes(): readonly KdamondView[] {
    const { driver, observer } = this.#parts;
    return kdamondViews(driver.kdamonds, observer);
  }

  snapshots(): readonly NodeSnapshot[] {
    return this.#loop.snapshots();
  }

  history(query: HistoryQuery): HistoryAnswer {
    return this.#parts.history.query(query, this.#parts.nowMs());
  }

  setPolicy(policy: Policy): Promise<void> {
    return this.#loop.between(async () => {
      this.#requireAtWork();
      const scope = await this.#parts.scopes.resolve(policy.cgroups);
      await this.#takeRegionLimit();
      await this.#loop.change({ type: 'policyChanged', policy, scope });
    });
  }

  preview(policy: Policy): Promise<PolicyPlans> {
    return this.#loop.between(async () => {
      const { sysfs, nowMs } = this.#parts;
      // Another one: the next look at the cgroups in force is as near as before.
      const scope = await new ScopeResolver(sysfs, nowMs).resolve(policy.cgroups);
      return previewPolicy(this.#loop.state, policy, scope);
    });
  }

  pausedSince(): Date | undefined {
    return this.#loop.state.pausedSince;
  }

  pause(since: Date): Promise<void> {
    const { logger } = this.#parts;
    return this.#loop.pause(since).catch((error: unknown) => {
      logger.warn({ err: error }, 'paused, but not all kdamonds could be told yet: it is tried again');
    });
  }

  pendingNodeIds(): readonly number[] {
    return this.#parts.fleet.pendingNodeIds;
  }

  resume(): Promise<void> {
    return this.#loop.between(async () => {
      this.#requireAtWork();
      if (this.#parts.fleet.aside !== undefined) await this.#takeBack();
      await this.#loop.change({ type: 'resumed' });
    });
  }

  processes(): Promise<ProcessSurvey> {
    return this.#parts.surveys.processes();
  }

  cgroups(): Promise<CgroupSurvey> {
    return this.#parts.surveys.cgroups();
  }

  async probe(): Promise<ProbeReport> {
    // Between ticks and with the schemes off: what is measured is hot, and would be promoted.
    const quietly: Quietly = (work) =>
      this.#loop.between(async () => {
        await this.#loop.dispatch({ type: 'measuring' });
        return work();
      });
    const report = await this.#parts.probing.probe(quietly, this.#abort.signal);
    await this.#parts.hotplug.reread();
    return report;
  }

  async #prepare() {
    const { driver, loadReceipt, waitForDamon } = this.#parts;
    for (;;) {
      try {
        const prepared = await driver.prepare(await loadReceipt());
        await this.#loop.dispatch({ type: 'damonTaken' });
        return prepared;
      } catch (error) {
        const inUse = error instanceof ForeignKdamondError || error instanceof ExclusiveModuleError;
        if (!inUse || !waitForDamon) throw error;
        await this.#loop.dispatch({ type: 'damonHeld', holder: error.holder, message: error.message });
        await sleep(WAIT_FOR_DAMON_MS, undefined, { signal: this.#abort.signal });
      }
    }
  }

  /** What the trace buffers hold with this host's CPUs. Throws TraceUnavailableError. */
  async #takeRegionLimit(): Promise<void> {
    await this.#loop.dispatch({ type: 'regionsLimited', mostRegions: await tracedRegionsLimit(this.#parts.sysfs) });
  }

  /** Memory came or went. */
  async topologyChanged(topology: Topology, description: string): Promise<void> {
    await this.#loop.between(() => this.#loop.dispatch({ type: 'topologyChanged', topology, description }));
    this.#measureNewcomers(topology);
  }

  /** A node that came by hot-plug and whose speed nobody knows is measured once. Not awaited: the hot-plug watcher waits for its own news to be followed. */
  #measureNewcomers(topology: Topology): void {
    const unknown = nodesLeftAlone(topology).filter(({ reason }) => reason === 'unknown-speed');
    const newcomers = unknown.filter(({ nodeId }) => !this.#triedToMeasure.has(nodeId));
    if (newcomers.length === 0 || this.#loop.state.isStopped) return;
    for (const { nodeId } of newcomers) this.#triedToMeasure.add(nodeId);
    this.#measuring = this.probe().then(
      () => undefined,
      (error: unknown) => {
        if (!this.#loop.state.isStopped)
          this.#parts.logger.warn({ err: error }, 'the memory nodes could not be measured');
      },
    );
  }

  /** After DAMON was left to others. Throws what DamonDriver.prepare() and start() throw, and stays aside. */
  async #takeBack(): Promise<void> {
    const { driver, fleet } = this.#parts;
    try {
      const { adopted, restarted } = await driver.prepare();
      await this.#takeRegionLimit();
      await fleet.start(idleKdamonds(this.#loop.state), adopted, restarted);
    } catch (error) {
      if (!this.#loop.state.isStopped) await fleet.stop(this.#parts.stopBudgetMs);
      throw error;
    }
    await this.#loop.dispatch({ type: 'takenBack' });
  }
}
