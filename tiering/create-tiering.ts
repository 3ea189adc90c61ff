import { BoundedSysFs } from '../numa/bounded-sysfs.ts';
import { HotplugWatcher } from '../numa/hotplug.ts';
import { hostMovePages } from '../numa/syscalls/move-pages.ts';
import type { SysFs } from '../numa/sysfs.ts';
import { ScopeResolver } from './cgroup-scope.ts';
import type { TieringRuntime } from './controller.ts';
import { Controller } from './controller.ts';
import { isKdamondCommand } from './damon/admin.ts';
import { DamonDriver } from './damon/driver.ts';
import type { Receipt } from './damon/receipt.ts';
import { ReceiptKeeper } from './damon/receipt-keeper.ts';
import { STOP_BUDGET_MS } from './damon/stop-budget.ts';
import { DamosEngine } from './damos-engine.ts';
import type { Engine, EngineName } from './engine.ts';
import type { TieringEvent } from './events/event.ts';
import { EventLog } from './events/event-log.ts';
import { withWarningEvents } from './events/warnings.ts';
import { History } from './history/history.ts';
import { Interleave } from './interleave/interleave.ts';
import { MigrationJobs } from './jobs/migration-jobs.ts';
import { KdamondFleet } from './kdamond-fleet.ts';
import type { Logger } from './logger.ts';
import { LoopRuntime } from './loop/runtime.ts';
import { initialState } from './loop/state.ts';
import { monotonicMs } from './monotonic.ts';
import { MovePagesEngine } from './move-pages/move-pages-engine.ts';
import { Observer } from './observer.ts';
import type { OwnMemory } from './own-memory.ts';
import { keepOffFastTier } from './own-memory.ts';
import type { Policy } from './policy.ts';
import type { ProbingParts } from './probing.ts';
import { Probing } from './probing.ts';
import { Surveys } from './survey/surveys.ts';

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
  /** How long a file of /sys or /proc may take to answer. */
  readonly fileLimitMs?: number;
  /** For tests: how long a kdamond may take to answer beyond its aggregations, for how long it may be silent before that is told, and the end may take. */
  readonly patience?: { readonly answerMs: number; readonly silenceMs: number; readonly stopBudgetMs?: number };
  /** For tests: kernel features to pretend absent. */
  readonly featureMask?: readonly string[];
}

/** Far more than any of them takes. */
const FILE_LIMIT_MS = 5_000;

/** Makes the engine and wires its parts; nothing happens until start(). */
export async function createTiering(options: TieringOptions): Promise<TieringRuntime> {
  const { policy, pausedSince } = options;
  const sysfs = new BoundedSysFs(options.sysfs, {
    limitMs: options.fileLimitMs ?? FILE_LIMIT_MS,
    isPatient: isKdamondCommand,
  });
  const nowMs = monotonicMs;
  const events = new EventLog();
  const logger = withWarningEvents(options.logger, events);
  const receipts = new ReceiptKeeper(options.saveReceipt, logger);
  const driver = new DamonDriver({
    sysfs,
    saveReceipt: (receipt, urgency) => receipts.save(receipt, urgency),
    mayStopDamonStat: options.switchOffDamonStat,
    ...(options.patience && { answerMs: options.patience.answerMs }),
    ...(options.featureMask && { featureMask: options.featureMask }),
  });
  const observer = new Observer(sysfs, driver);
  const fleet = new KdamondFleet({
    sysfs,
    driver,
    observer,
    logger,
    nowMs,
    onApplied: (nodeId) => loop.note({ type: 'kdamondApplied', nodeId }),
    ...(options.patience && { silenceMs: options.patience.silenceMs }),
  });
  const history = new History();
  const scopes = new ScopeResolver(sysfs, nowMs);
  const loop = new LoopRuntime(initialState(policy, pausedSince), {
    driver,
    observer,
    fleet,
    events,
    history,
    logger,
    scopes,
    keepOwnMemory: async (topology) => {
      if (options.ownMemory === 'slow') await keepOffFastTier(topology, { sysfs, logger });
    },
    nowMs,
  });
  const tell = (event: TieringEvent) => {
    logger.info({}, event.message);
    events.publish(event);
  };
  const probing = new Probing(sysfs, options.probing, logger);
  const discovery = { ...(options.tiers && { tiers: options.tiers }), measured: probing.measured };
  const makeEngine = (name: EngineName): Engine =>
    name === 'damos'
      ? new DamosEngine({ driver, observer, fleet, logger, nowMs })
      : new MovePagesEngine({
          sysfs,
          nowMs,
          flows: observer.flows,
          logger,
          maxCpuShare: loop.state.policy.movePages.maxCpuShare,
          snapshots: observer.snapshots,
          drain: () => fleet.drain(),
        });
  const controller = new Controller({
    sysfs,
    engine: options.engine,
    waitForDamon: options.waitForDamon,
    loadReceipt: options.loadReceipt,
    logger,
    receipts,
    driver,
    observer,
    fleet,
    scopes,
    loop,
    history,
    events,
    probing,
    discovery,
    makeEngine,
    nowMs,
    migrations: new MigrationJobs({
      sysfs,
      logger,
      tell,
      loadMovePages: hostMovePages,
      maxCpuShare: () => loop.state.policy.movePages.maxCpuShare,
    }),
    interleave: new Interleave(sysfs, () => loop.state.topology),
    surveys: new Surveys({
      sysfs,
      nowMs,
      known: () => ({
        topology: loop.state.topology,
        policy: loop.state.policy,
        snapshots: loop.snapshots(),
      }),
    }),
    stopBudgetMs: options.patience?.stopBudgetMs ?? STOP_BUDGET_MS,
    hotplug: new HotplugWatcher(sysfs, {
      log: logger,
      ...discovery,
      onChange: (topology, description) => controller.topologyChanged(topology, description),
    }),
  });
  return controller;
}
