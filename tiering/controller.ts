import { setTimeout as sleep } from 'node:timers/promises';
import type { DiscoveryOptions } from '../numa/composition.ts';
import { discoverTopology } from '../numa/discover.ts';
import { HotplugWatcher } from '../numa/hotplug.ts';
import { nodesLeftAlone } from '../numa/left-alone.ts';
import type { ProbeReport } from '../numa/probe/result.ts';
import { hostMovePages } from '../numa/syscalls/move-pages.ts';
import type { SysFs } from '../numa/sysfs.ts';
import type { Topology } from '../numa/topology.ts';
import type { ResolvedScope } from './cgroup-scope.ts';
import { describeUnmatched, NO_SCOPE, ScopeResolver, sameScope } from './cgroup-scope.ts';
import { tracedRegionsLimit } from './damon/access-trace.ts';
import { DamonDriver } from './damon/driver.ts';
import { ExclusiveModuleError, ForeignKdamondError } from './damon/errors.ts';
import type { ProbedFeatures } from './damon/features.ts';
import type { Receipt } from './damon/receipt.ts';
import { ReceiptKeeper } from './damon/receipt-keeper.ts';
import { standDown } from './damon/stand-down.ts';
import { DamosEngine } from './damos-engine.ts';
import { DecisionClock } from './decision-clock.ts';
import { DecisionLog, policyChanges } from './decision-log.ts';
import { conflictsOf, diagnose } from './doctor/diagnose.ts';
import type { HostFacts } from './doctor/facts.ts';
import type { Finding } from './doctor/finding.ts';
import { gatherFacts } from './doctor/gather.ts';
import type { Engine, EngineName } from './engine.ts';
import type { EngineState } from './engine-state.ts';
import { NoTiersError } from './errors.ts';
import type { TieringEvent } from './events/event.ts';
import { EventLog } from './events/event-log.ts';
import { withWarningEvents } from './events/warnings.ts';
import type { HistoryAnswer, HistoryQuery } from './history/history.ts';
import { History } from './history/history.ts';
import { nodeSamples } from './history/node-samples.ts';
import { Interleave } from './interleave/interleave.ts';
import { MigrationJobs } from './jobs/migration-jobs.ts';
import { KdamondFleet } from './kdamond-fleet.ts';
import { kdamondViews } from './kdamond-views.ts';
import type { Logger } from './logger.ts';
import { monotonicMs } from './monotonic.ts';
import { MovePagesEngine } from './move-pages/move-pages-engine.ts';
import type { Observation } from './observation.ts';
import { Observer } from './observer.ts';
import type { OwnMemory } from './own-memory.ts';
import { keepOffFastTier } from './own-memory.ts';
import type { PlanInput } from './plan.ts';
import type { Policy } from './policy.ts';
import type { ProbingParts, Quietly } from './probing.ts';
import { Probing } from './probing.ts';
import type { LimitedKdamonds } from './region-limit.ts';
import { limitRegions } from './region-limit.ts';
import type { DesiredKdamond } from './scheme.ts';
import { movesNothing } from './scheme.ts';
import { Serial } from './serial.ts';
import type { Heartbeat, KdamondView, PolicyPlans, Status, TieringService } from './service.ts';
import type { NodeSnapshot } from './snapshot.ts';
import { nodeStatuses } from './status-view.ts';
import type { CgroupSurvey, ProcessSurvey } from './survey/survey.ts';
import { Surveys } from './survey/surveys.ts';
import type { NodeOrders } from './tuner/order.ts';
import { isOn } from './tuner/order.ts';
import type { TunerState } from './tuner/tune.ts';
import { FRESH_TUNER, tune } from './tuner/tune.ts';

export interface TieringOptions {
  readonly sysfs: SysFs;
  readonly policy: Policy;
  /** Paused by an earlier process, since then. */
  readonly pausedSince?: Date;
  /** `auto`: damos where the kernel has migrate actions, else move_pages. */
  readonly engine: EngineName | 'auto';
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
  readonly probing: ProbingParts;
  /** `slow`: keep this process's own memory off the fastest tier. */
  readonly ownMemory: OwnMemory;
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
/** After so many in a row nothing moves any more. */
const FAILED_TICKS = 3;

/** Makes the engine; nothing happens until start(). */
export async function createTiering(options: TieringOptions): Promise<TieringRuntime> {
  return new Controller(options);
}

/** The loop: observe -> decide (pure) -> apply, once an aggregation. Calls from the API run between ticks. */
class Controller implements TieringRuntime {
  readonly #options: TieringOptions;
  readonly #logger: Logger;
  readonly #receipts: ReceiptKeeper;
  readonly #driver: DamonDriver;
  readonly #observer: Observer;
  readonly #fleet: KdamondFleet;
  readonly #clock = new DecisionClock();
  readonly #decisions: DecisionLog;
  readonly #history = new History();
  readonly #hotplug: HotplugWatcher;
  readonly #probing: Probing;
  readonly #surveys: Surveys;
  readonly interleave: Interleave;
  readonly #between = new Serial();
  readonly #abort = new AbortController();
  readonly ready: Promise<void>;
  #becomeReady: () => void = () => undefined;
  #isReady = false;
  #policy: Policy;
  #topology: Topology = { nodes: [], tiers: [], tierSource: 'kernel', paths: [] };
  /** From when it is known what the kernel can do. */
  #engine: { readonly engine: Engine; readonly features: ProbedFeatures } | undefined;
  /** Of one kdamond, as the trace buffers hold them with this host's CPUs. */
  #mostRegions = Number.POSITIVE_INFINITY;
  #scope: ResolvedScope = NO_SCOPE;
  readonly #scopes: ScopeResolver;
  #tuner: TunerState = FRESH_TUNER;
  #orders: readonly NodeOrders[] = [];
  #observation: Observation | undefined;
  #hotBytesWaiting = 0;
  #pingPongBytes = 0;
  #problem: string | undefined;
  /** While it starts. */
  #waitingFor: string | undefined;
  #pausedSince: Date | undefined;
  #heartbeat: Heartbeat = {
    ticks: 0,
    decisions: 0,
    lastTickAtMs: undefined,
    lastDecisionAtMs: undefined,
    lastDecisionMs: undefined,
  };
  #failedTicks = 0;
  /** Nodes that nothing is seen of although it should be. */
  #blind: readonly number[] = [];
  #stopped = false;
  #toldOfMachine: ReadonlySet<string> = new Set();
  readonly #triedToMeasure = new Set<number>();
  #measuring: Promise<void> = Promise.resolve();
  #starting: Promise<void> = Promise.resolve();
  #loop: Promise<void> = Promise.resolve();
  readonly #startedAt = new Date();
  /** The clock of the day may be set meanwhile. */
  readonly #startedAtMs = monotonicMs();
  #toldState: EngineState | undefined;
  readonly events = new EventLog();
  readonly migrations: MigrationJobs;

  constructor(given: TieringOptions) {
    const options = { ...given, logger: withWarningEvents(given.logger, this.events) };
    this.#options = options;
    this.#logger = options.logger;
    this.#policy = options.policy;
    this.#pausedSince = options.pausedSince;
    this.#scopes = new ScopeResolver(options.sysfs, monotonicMs);
    this.#receipts = new ReceiptKeeper(options.saveReceipt, options.logger);
    this.#driver = new DamonDriver({
      sysfs: options.sysfs,
      saveReceipt: (receipt, urgency) => this.#receipts.save(receipt, urgency),
      mayStopDamonStat: options.switchOffDamonStat,
      ...(options.featureMask && { featureMask: options.featureMask }),
    });
    this.#observer = new Observer(options.sysfs, this.#driver);
    this.#fleet = new KdamondFleet({
      sysfs: options.sysfs,
      driver: this.#driver,
      observer: this.#observer,
      logger: options.logger,
      nowMs: monotonicMs,
      onApplied: (nodeId) => this.#clock.applied(nodeId, monotonicMs()),
    });
    const tell = (event: TieringEvent) => this.#tell(event);
    this.#decisions = new DecisionLog(options.logger, tell);
    const { sysfs, logger } = options;
    this.migrations = new MigrationJobs({ sysfs, logger, tell, loadMovePages: hostMovePages });
    this.#probing = new Probing(sysfs, options.probing, logger);
    this.interleave = new Interleave(options.sysfs, () => this.#topology);
    this.#surveys = new Surveys({
      sysfs,
      nowMs: monotonicMs,
      known: () => ({ topology: this.#topology, policy: this.#policy, snapshots: this.snapshots() }),
    });
    this.#hotplug = new HotplugWatcher(options.sysfs, {
      log: options.logger,
      ...this.#discovery(),
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
    const { sysfs } = this.#options;
    this.#tellState();
    await this.#endOldOrders();
    await this.#probing.restore();
    const discover = () => discoverTopology(sysfs, this.#discovery());
    this.#topology = await this.#probing.discover(discover, this.#abort.signal);
    if (this.#topology.tiers.length < 2) throw new NoTiersError(this.#topology);
    this.#warnOfMachine();
    await this.#keepOwnMemory();
    this.#takeScope(await this.#scopes.resolve(this.#policy.cgroups));
    const { features, adopted, restarted } = await this.#prepare();
    try {
      const engine = this.#chooseEngine(features);
      await engine.prepare(features);
      this.#engine = { engine, features };
      this.#logger.info(
        {},
        `engine ${engine.name}${this.#options.engine === 'auto' ? ', chosen by what the kernel can do' : ''}`,
      );
      for (const conflict of conflictsOf(await this.#facts())) this.#logger.warn({}, conflict);
      await this.#takeRegionLimit();
      await this.#fleet.start(this.#desired([]), adopted, restarted);
    } catch (error) {
      await this.#fleet.stop();
      throw error;
    }
    for (const { nodeId } of nodesLeftAlone(this.#topology)) this.#triedToMeasure.add(nodeId);
    this.#hotplug.start(this.#topology);
    this.#loop = this.#run();
  }

  /** Before anything that takes long, or may fail: an earlier process may have been killed while memory moved. */
  async #endOldOrders(): Promise<void> {
    const { sysfs, loadReceipt } = this.#options;
    for (const { index, nodeId, result } of await standDown(sysfs, await loadReceipt())) {
      const which = `kdamond ${index} (node ${nodeId}) of an earlier run`;
      if (result === 'quiet') this.#logger.info({}, `${which}: its schemes are off until the first decision`);
      else if (result === 'off') this.#logger.warn({}, `${which}: switched off, as its schemes could not be`);
      else this.#logger.error({}, `${which} may go on to move memory: ${result.reason}`);
    }
  }

  async stop(): Promise<void> {
    if (this.#stopped) return;
    this.#stopped = true;
    this.#abort.abort();
    this.#surveys.stop();
    await this.migrations.stop();
    // A start under way must not take DAMON after it was released.
    await this.#starting.catch(() => undefined);
    await this.#hotplug.stop();
    await this.#measuring;
    await this.#loop;
    await this.#engine?.engine.stop();
    await this.#between.run(() => this.#fleet.stop());
  }

  status(): Status {
    const regionLimit = this.#limited([]).limit;
    const accounts = this.#engine?.engine.accounts();
    const problem = this.#fleet.aside ?? this.#problem ?? this.#fleet.problem;
    const scopeProblem = describeUnmatched(this.#scope);
    return {
      state: this.#state(),
      ...(problem !== undefined && { problem }),
      ...(this.#receipts.problem !== undefined && { receiptProblem: this.#receipts.problem }),
      ...(scopeProblem !== undefined && { scopeProblem }),
      ...(this.#waitingFor !== undefined && { waitingFor: this.#waitingFor }),
      ...(regionLimit !== undefined && { regionLimit }),
      engine: this.#engine?.engine.name ?? this.#options.engine,
      dryRun: this.#policy.dryRun,
      ...(this.#pausedSince && { pausedSince: this.#pausedSince.toISOString() }),
      startedAt: this.#startedAt.toISOString(),
      uptimeSeconds: Math.round((monotonicMs() - this.#startedAtMs) / 1000),
      nodes: nodeStatuses(this.#topology, this.#policy, this.#observation, this.#orders),
      promotedBytes: this.#observer.flows.promotedBytes,
      demotedBytes: this.#observer.flows.demotedBytes,
      ...this.#observer.flows.rates(monotonicMs()),
      hotBytesWaiting: this.#hotBytesWaiting,
      pingPongBytes: accounts?.pingPongBytes ?? this.#pingPongBytes,
      traceLosses: this.#fleet.losses,
      ...(accounts && { pages: accounts }),
    };
  }

  #state(): EngineState {
    if (this.#stopped) return 'stopped';
    if (this.#fleet.aside !== undefined) return 'aside';
    if (this.#problem !== undefined || this.#fleet.problem !== undefined) return 'degraded';
    if (!this.#isReady) return 'starting';
    if (this.#pausedSince !== undefined) return 'paused';
    return this.#orders.some((order) => isOn(order)) ? 'moving' : 'settled';
  }

  topology(): Topology {
    return this.#topology;
  }

  policy(): Policy {
    return this.#policy;
  }

  async diagnose(): Promise<readonly Finding[]> {
    return diagnose(await this.#facts(), describeUnmatched(this.#scope));
  }

  #facts(): Promise<HostFacts> {
    const ownKdamondPids = this.#driver.kdamonds.map(({ pid }) => pid);
    return gatherFacts(
      this.#options.sysfs,
      { ownKdamondPids, features: this.#engine?.features },
      'daemon',
      this.#discovery(),
    );
  }

  heartbeat(): Heartbeat {
    return this.#heartbeat;
  }

  schemes(): readonly KdamondView[] {
    return kdamondViews(this.#driver.kdamonds, this.#observer);
  }

  snapshots(): readonly NodeSnapshot[] {
    return [...this.#observer.snapshots.values()].sort((a, b) => a.nodeId - b.nodeId);
  }

  history(query: HistoryQuery): HistoryAnswer {
    return this.#history.query(query, monotonicMs());
  }

  setPolicy(policy: Policy): Promise<void> {
    return this.#between.run(async () => {
      const changes = policyChanges(this.#policy, policy);
      if (changes.length === 0) return;
      const before = { policy: this.#policy, scope: this.#scope };
      this.#policy = policy;
      try {
        this.#takeScope(await this.#scopes.resolve(policy.cgroups));
        await this.#takeRegionLimit();
        // Orders were made for the old policy: off until the next tick.
        await this.#fleet.change(this.#desired([]));
        this.#engine?.engine.policyChanged();
        this.#orders = [];
      } catch (error) {
        this.#policy = before.policy;
        this.#scope = before.scope;
        throw error;
      }
      const keys = changes.map((change) => change.slice(0, change.indexOf(':')));
      this.#tell({ type: 'policy', keys, message: `policy changed: ${changes.join(', ')}` });
    });
  }

  preview(policy: Policy): Promise<PolicyPlans> {
    return this.#between.run(async () => {
      if (this.#engine === undefined) return { before: [], after: [] };
      const { engine, features } = this.#engine;
      const scope = await new ScopeResolver(this.#options.sysfs, monotonicMs).resolve(policy.cgroups);
      const decided =
        this.#observation === undefined || this.#pausedSince !== undefined
          ? []
          : tune(this.#tuner, this.#observation, this.#topology, policy).orders;
      const after = { topology: this.#topology, policy, features, scope, orders: decided };
      const scopeProblem = describeUnmatched(scope);
      return {
        before: this.#desired(this.#orders),
        after: limitRegions(engine.kdamonds(after), this.#mostRegions).kdamonds,
        ...(scopeProblem !== undefined && { scopeProblem }),
      };
    });
  }

  pausedSince(): Date | undefined {
    return this.#pausedSince;
  }

  pause(since: Date): Promise<void> {
    return this.#between.run(async () => {
      if (this.#pausedSince !== undefined) return;
      await this.#fleet.bring(this.#desired([]));
      this.#engine?.engine.policyChanged();
      this.#orders = [];
      this.#pausedSince = since;
      this.#logger.info({}, 'paused: nothing is promoted or demoted');
      this.#tellState();
    });
  }

  resume(): Promise<void> {
    return this.#between.run(async () => {
      if (this.#fleet.aside !== undefined) await this.#takeBack();
      if (this.#pausedSince === undefined) return;
      this.#pausedSince = undefined;
      // What it learned was of another time.
      this.#tuner = FRESH_TUNER;
      this.#logger.info({}, 'resumed');
      this.#tellState();
    });
  }

  processes(): Promise<ProcessSurvey> {
    return this.#surveys.processes();
  }

  cgroups(): Promise<CgroupSurvey> {
    return this.#surveys.cgroups();
  }

  async probe(): Promise<ProbeReport> {
    // Between ticks and with the schemes off: what is measured is hot, and would be promoted.
    const quietly: Quietly = (work) =>
      this.#between.run(async () => {
        if (this.#isReady) await this.#fleet.bring(this.#desired([]));
        return work();
      });
    const report = await this.#probing.probe(quietly, this.#abort.signal);
    await this.#hotplug.reread();
    return report;
  }

  async #keepOwnMemory(): Promise<void> {
    if (this.#options.ownMemory === 'slow') await keepOffFastTier(this.#topology, this.#options);
  }

  #discovery(): DiscoveryOptions {
    const { tiers } = this.#options;
    return { ...(tiers && { tiers }), measured: this.#probing.measured };
  }

  async #prepare() {
    for (let waiting = false; ; waiting = true) {
      try {
        const prepared = await this.#driver.prepare(await this.#options.loadReceipt());
        this.#waitingFor = undefined;
        return prepared;
      } catch (error) {
        const inUse = error instanceof ForeignKdamondError || error instanceof ExclusiveModuleError;
        if (!inUse || !this.#options.waitForDamon) throw error;
        if (!waiting) this.#logger.warn({}, `waiting for DAMON: ${error.message}`);
        this.#waitingFor = `DAMON: ${error.holder}`;
        await sleep(WAIT_FOR_DAMON_MS, undefined, { signal: this.#abort.signal });
      }
    }
  }

  /** After DAMON was left to others. Throws what DamonDriver.prepare() and start() throw, and stays aside. */
  async #takeBack(): Promise<void> {
    try {
      const { adopted, restarted } = await this.#driver.prepare();
      await this.#takeRegionLimit();
      await this.#fleet.start(this.#desired([]), adopted, restarted);
    } catch (error) {
      await this.#fleet.stop();
      throw error;
    }
    this.#tuner = FRESH_TUNER;
    this.#logger.info({}, 'DAMON is taken again');
    this.#tellState();
  }

  #desired(orders: readonly NodeOrders[]): readonly DesiredKdamond[] {
    return this.#limited(orders).kdamonds;
  }

  #limited(orders: readonly NodeOrders[]): LimitedKdamonds {
    if (this.#engine === undefined) return { kdamonds: [], limit: undefined };
    const { engine, features } = this.#engine;
    return limitRegions(engine.kdamonds(this.#planInput(features, orders)), this.#mostRegions);
  }

  /** Throws TraceUnavailableError. */
  async #takeRegionLimit(): Promise<void> {
    this.#mostRegions = await tracedRegionsLimit(this.#options.sysfs);
    const { limit } = this.#limited([]);
    if (limit !== undefined) this.#logger.warn({}, limit);
  }

  #planInput(features: ProbedFeatures, orders: readonly NodeOrders[]): PlanInput {
    return { topology: this.#topology, policy: this.#policy, features, scope: this.#scope, orders };
  }

  #chooseEngine({ migrateActions }: ProbedFeatures): Engine {
    const { engine: wanted, sysfs } = this.#options;
    if (wanted === 'damos' || (wanted === 'auto' && migrateActions)) {
      return new DamosEngine({
        driver: this.#driver,
        observer: this.#observer,
        fleet: this.#fleet,
        logger: this.#logger,
        nowMs: monotonicMs,
      });
    }
    const { flows, snapshots } = this.#observer;
    return new MovePagesEngine({
      sysfs,
      nowMs: monotonicMs,
      flows,
      logger: this.#logger,
      maxCpuShare: this.#policy.movePages.maxCpuShare,
      snapshots,
      drain: () => this.#fleet.drain(),
    });
  }

  async #run(): Promise<void> {
    const { signal } = this.#abort;
    while (!signal.aborted) {
      const pauseMs = this.#clock.untilNextLookMs(...this.#watched(), monotonicMs());
      await sleep(pauseMs, undefined, { signal }).catch(() => undefined);
      if (signal.aborted) return;
      await this.#between.run(() => this.#tickOrTakeBack());
      this.#tellState();
      const { ticks } = this.#heartbeat;
      this.#heartbeat = { ...this.#heartbeat, ticks: ticks + 1, lastTickAtMs: monotonicMs() };
    }
  }

  async #tickOrTakeBack(): Promise<void> {
    try {
      await this.#tick();
      this.#failedTicks = 0;
    } catch (error) {
      this.#failed(error);
      this.#failedTicks += 1;
      if (this.#failedTicks < FAILED_TICKS) return;
      // Orders hold until the next ones, which do not come.
      if (this.#orders.length > 0) this.#engine?.engine.policyChanged();
      this.#orders = [];
      await this.#fleet.quieten().catch((cause: unknown) => this.#failed(cause));
    }
  }

  async #tick(): Promise<void> {
    await this.#fleet.drain();
    const nowMs = monotonicMs();
    const { onSwitchOff } = this.#policy;
    const standingOrders = () => this.#desired(this.#pausedSince === undefined ? this.#orders : []);
    const keptBy = await this.#fleet.keepAlive(standingOrders, onSwitchOff, nowMs);
    if (keptBy !== undefined) {
      this.#problem = keptBy;
      this.#heartbeat = { ...this.#heartbeat, lastDecisionAtMs: monotonicMs() };
    }
    if (this.#fleet.aside !== undefined) {
      this.#leftDamon();
      return;
    }
    this.#blind = await this.#fleet.blindNodes();
    const blind = this.#blind;
    this.#orders = this.#orders.filter(({ nodeId }) => !blind.includes(nodeId));
    await this.#keepScope();
    this.#noteReadiness();
    if (this.#engine === undefined || !this.#clock.isDue(...this.#watched(), nowMs)) return;
    const { engine, features } = this.#engine;
    const flows = await engine.settle(nowMs);
    const decidingSinceMs = monotonicMs();
    const nodeIds = this.#topology.nodes.map((node) => node.nodeId);
    // An engine that moves in the background may have looked on meanwhile.
    const observedMs = Math.max(nowMs, ...this.snapshots().map(({ takenAtMs }) => takenAtMs));
    this.#observation = await this.#observer.observe(nodeIds, flows, observedMs, blind);
    this.#clock.decided(this.#observer.snapshots);

    const tuning = tune(this.#tuner, this.#observation, this.#topology, this.#policy);
    this.#hotBytesWaiting = tuning.hotBytesWaiting;
    const mayMove = this.#pausedSince === undefined && !movesNothing(this.#scope);
    const orders = mayMove ? tuning.orders.filter(({ nodeId }) => !blind.includes(nodeId)) : [];
    this.#history.record(nowMs, nodeSamples(this.#observation, orders, this.#policy));
    if (this.#pausedSince !== undefined) {
      this.#problem = undefined;
      this.#heartbeat = { ...this.#heartbeat, lastDecisionAtMs: monotonicMs() };
      return;
    }
    this.#tuner = movesNothing(this.#scope) ? FRESH_TUNER : tuning.state;
    this.#orders = orders;
    this.#pingPongBytes = tuning.pingPongBytes;
    this.#decisions.record(orders);
    await engine.serve(this.#planInput(features, orders), this.#observer.snapshots);
    this.#problem = undefined;
    const { decisions } = this.#heartbeat;
    this.#heartbeat = {
      ...this.#heartbeat,
      decisions: decisions + 1,
      lastDecisionAtMs: monotonicMs(),
      lastDecisionMs: monotonicMs() - decidingSinceMs,
    };
  }

  #leftDamon(): void {
    this.#heartbeat = { ...this.#heartbeat, lastDecisionAtMs: monotonicMs() };
    if (this.#orders.length > 0) this.#engine?.engine.policyChanged();
    this.#problem = undefined;
    this.#orders = [];
    this.#observation = undefined;
    this.#hotBytesWaiting = 0;
  }

  /** What the clock goes by. */
  #watched(): [readonly number[], ReadonlyMap<number, NodeSnapshot>, number] {
    const nodeIds = this.#driver.kdamonds
      .map(({ desired }) => desired.nodeId)
      .filter((nodeId) => !this.#blind.includes(nodeId));
    return [nodeIds, this.#observer.snapshots, this.#policy.monitoring.aggregationIntervalMs];
  }

  #noteReadiness(): void {
    const { kdamonds } = this.#driver;
    if (
      this.#isReady ||
      kdamonds.length === 0 ||
      !kdamonds.every(({ desired }) => this.#observer.snapshots.has(desired.nodeId))
    )
      return;
    this.#isReady = true;
    this.#becomeReady();
  }

  async #keepScope(): Promise<void> {
    const { cgroups } = this.#policy;
    if (cgroups.include.length + cgroups.exclude.length === 0 || !this.#scopes.isDue) return;
    this.#takeScope(await this.#scopes.resolve(cgroups));
  }

  #takeScope(scope: ResolvedScope): void {
    const before = this.#scope;
    if (sameScope(scope, before)) return;
    this.#scope = scope;
    const { include, exclude } = scope;
    const included = include === 'all' ? 'all' : include.length;
    this.#logger.info({}, `cgroups in scope: ${included} included, ${exclude.length} excluded`);
    const problem = describeUnmatched(scope);
    if (problem !== undefined && problem !== describeUnmatched(before)) this.#logger.warn({}, problem);
  }

  async #topologyChanged(topology: Topology, description: string): Promise<void> {
    await this.#between.run(async () => {
      const nodeIds = topology.nodes.map((node) => node.nodeId);
      this.#tell({ type: 'topology', nodeIds, message: `memory changed: ${description}` });
      this.#topology = topology;
      this.#warnOfMachine();
      await this.#keepOwnMemory();
      await this.#fleet.bring(this.#desired(this.#orders));
    });
    this.#measureNewcomers();
  }

  /** Once a sentence: what was told of nodes that stay as they are is no news. */
  #warnOfMachine(): void {
    const sentences = [
      ...nodesLeftAlone(this.#topology).map(({ message }) => message),
      ...(this.#topology.warnings ?? []),
    ];
    for (const sentence of sentences) if (!this.#toldOfMachine.has(sentence)) this.#logger.warn({}, sentence);
    this.#toldOfMachine = new Set(sentences);
  }

  /** A node that came by hot-plug and whose speed nobody knows is measured once. Not awaited: the hot-plug watcher waits for its own news to be followed. */
  #measureNewcomers(): void {
    const unknown = nodesLeftAlone(this.#topology).filter(({ reason }) => reason === 'unknown-speed');
    const newcomers = unknown.filter(({ nodeId }) => !this.#triedToMeasure.has(nodeId));
    if (newcomers.length === 0 || this.#stopped) return;
    for (const { nodeId } of newcomers) this.#triedToMeasure.add(nodeId);
    this.#measuring = this.probe().then(
      () => undefined,
      (error: unknown) => {
        if (!this.#stopped) this.#logger.warn({ err: error }, 'the memory nodes could not be measured');
      },
    );
  }

  #tell(event: TieringEvent): void {
    this.#logger.info({}, event.message);
    this.events.publish(event);
  }

  /** A change of state is an event, yet no line in the log: what it follows from is there. */
  #tellState(): void {
    const [state, before] = [this.#state(), this.#toldState];
    if (state === before) return;
    this.#toldState = state;
    const what = before === undefined ? state : `${before} -> ${state}`;
    const { problem } = this.status();
    const message = problem === undefined ? what : `${what}: ${problem}`;
    this.events.publish({ type: 'state', state, ...(before && { before }), message });
  }

  #failed(error: unknown): void {
    const message = error instanceof Error ? error.message : String(error);
    if (message !== this.#problem) this.#logger.error({ err: error }, `tick failed: ${message}`);
    this.#problem = message;
  }
}
