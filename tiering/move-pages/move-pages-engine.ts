import { setTimeout as sleep } from 'node:timers/promises';
import { readPageSize } from '../../numa/node-memory.ts';
import { PageMaps } from '../../numa/page-maps/page-maps.ts';
import { isOfOneProcess, userProcess } from '../../numa/page-maps/processes.ts';
import { readBlocks } from '../../numa/page-maps/read-blocks.ts';
import { hostMovePages } from '../../numa/syscalls/move-pages.ts';
import type { SysFs } from '../../numa/sysfs.ts';
import { processCpuMs } from '../cpu-allowance.ts';
import { DamonUnsupportedError } from '../damon/errors.ts';
import type { Engine, PageAccounts } from '../engine.ts';
import type { Flow, FlowLedger } from '../flow-ledger.ts';
import { NO_FLOW } from '../flow-ledger.ts';
import type { Logger } from '../logger.ts';
import type { PlanInput } from '../plan.ts';
import { movesNothing } from '../scheme.ts';
import type { NodeSnapshot } from '../snapshot.ts';
import { firstIntervals } from '../tuner/intervals.ts';
import { describe } from './describe.ts';
import { FreshSnapshots } from './fresh-snapshots.ts';
import { migrationsFor } from './migrations.ts';
import { PAGE_BYTES } from './page-bytes.ts';
import { PageLedger } from './page-ledger.ts';
import type { MoveLimits, Part } from './page-mover.ts';
import { PageMover } from './page-mover.ts';
import { processesInScope } from './process-scope.ts';

export interface MovePagesEngineOptions {
  readonly sysfs: SysFs;
  /** CLOCK_MONOTONIC in milliseconds. */
  readonly nowMs: () => number;
  /** Where totals and rates are kept. */
  readonly flows: FlowLedger;
  readonly logger: Logger;
  /** Share of one core for what is read before the first order. */
  readonly maxCpuShare: number;
  /** Newest snapshots by node, as far as drain() has taken them in. */
  readonly snapshots: ReadonlyMap<number, NodeSnapshot>;
  readonly drain: () => Promise<void>;
}

/** As with a kdamond that migrates, a step that takes longer is waited for, within reason. */
const GRACE_AGGREGATIONS = 4;
/** Page maps are read while DAMON takes its first look. */
const FIRST_READ_MS = 2_000;
const STUCK_SHOWN = 20;

interface Run {
  readonly abort: AbortController;
  /** What cut it short, for people. */
  cutBy: string | undefined;
  readonly done: Promise<void>;
  readonly graceMs: number;
  readonly parts: readonly Part[];
}

/**
 * Migration from user space, for kernels without migrate actions and for operators who want every move accounted for: DAMON only watches, and
 * move_pages(2) moves what the page maps find in the regions, in the background until the next decision.
 */
export class MovePagesEngine implements Engine {
  readonly name = 'move_pages';
  readonly #options: MovePagesEngineOptions;
  readonly #ledger = new PageLedger(0);
  readonly #pageMaps: PageMaps;
  readonly #newest: FreshSnapshots;
  #mover: PageMover | undefined;
  #run: Run | undefined;
  #failure: unknown;
  readonly #firstRead = new AbortController();

  constructor(options: MovePagesEngineOptions) {
    this.#options = options;
    this.#pageMaps = new PageMaps({ sysfs: options.sysfs, pageBytes: PAGE_BYTES });
    this.#newest = new FreshSnapshots(options);
  }

  /**
   * Throws SyscallsUnavailableError when move_pages cannot be called, PageMapsUnavailableError when page frames are hidden, and
   * DamonUnsupportedError on a kernel with larger pages.
   */
  async prepare(): Promise<void> {
    const { nowMs, sysfs, maxCpuShare } = this.#options;
    const pageBytes = await readPageSize(sysfs);
    if (pageBytes !== PAGE_BYTES) {
      throw new DamonUnsupportedError(
        `engine move_pages knows pages of ${PAGE_BYTES / 1024} KiB only, and this kernel's have ${pageBytes / 1024} KiB; use engine damos`,
      );
    }
    const mover = new PageMover({
      movePages: await hostMovePages(),
      pageMaps: this.#pageMaps,
      readBlocks: (pid, blocks, visit) => readBlocks(sysfs, pid, blocks, visit),
      ledger: this.#ledger,
      startTimeNow: (pid) => startTimeNow(sysfs, pid),
      newestSnapshot: (nodeId) => this.#newest.of(nodeId),
      nowMs,
      cpuMs: processCpuMs,
      sleep: (ms, signal) => sleep(ms, undefined, { signal }).catch(() => undefined),
    });
    this.#mover = mover;
    // Whether frames are visible shows with the first process that is read.
    await this.#pageMaps.refresh({ wanted: [], nowMs: nowMs(), maxAgeMs: 0, budgetMs: 1 });
    // What fails now fails again, and is told, when pages are to be moved.
    mover.readAhead(FIRST_READ_MS, maxCpuShare, this.#firstRead.signal).catch(() => undefined);
  }

  /** What the last orders started may take some aggregations longer, and the next order is smaller; then it ends after the batch that is under way. Throws what made it fail. */
  async settle(nowMs: number): Promise<ReadonlyMap<number, Flow>> {
    const run = this.#run;
    this.#run = undefined;
    if (run === undefined) return new Map();
    const late = new AbortController();
    await Promise.race([run.done, sleep(run.graceMs, undefined, { signal: late.signal }).catch(() => undefined)]);
    late.abort();
    cut(run, 'the next decision');
    await run.done;
    if (this.#failure !== undefined) {
      const failure = this.#failure;
      this.#failure = undefined;
      throw failure;
    }
    for (const part of run.parts) this.#options.logger.debug({}, describe(part, run.cutBy));
    this.#tellStuck(nowMs);
    const flows = flowsOf(run.parts);
    for (const flow of flows.values()) this.#options.flows.add(flow, nowMs);
    return flows;
  }

  async serve(input: PlanInput, snapshots: ReadonlyMap<number, NodeSnapshot>): Promise<void> {
    const { policy, scope } = input;
    const migrations = movesNothing(scope) ? [] : migrationsFor(input, snapshots);
    if (migrations.length === 0) return;
    const pids = await processesInScope(this.#options.sysfs, scope);
    const limits: MoveLimits = {
      ...(pids && { pids }),
      settleMs: policy.movePages.settleSeconds * 1000,
      maxCpuShare: policy.movePages.maxCpuShare,
      dryRun: policy.dryRun,
    };
    // The orders read what they need themselves, and those first.
    this.#firstRead.abort();
    const abort = new AbortController();
    const parts = migrations.map(
      (migration): Part => ({
        migration,
        result: { movedBytes: 0, triedBytes: 0, busyMs: 0 },
      }),
    );
    const done = this.#carryOut(parts, limits, abort.signal).catch((error: unknown) => {
      this.#failure = error;
    });
    this.#run = {
      abort,
      cutBy: undefined,
      done,
      parts,
      graceMs: GRACE_AGGREGATIONS * (input.intervals ?? firstIntervals(policy)).aggregationIntervalMs,
    };
  }

  policyChanged(): void {
    // What is under way was decided for the old policy.
    if (this.#run !== undefined) cut(this.#run, 'a change of policy');
    this.#ledger.relax(this.#options.nowMs());
  }

  accounts(): PageAccounts {
    const { movedBytes, failedBytes, heldBackBytes, pingPongBytes } = this.#ledger;
    const stuck = this.#ledger.stuckProcesses(this.#options.nowMs());
    return {
      stuckPids: stuck.slice(0, STUCK_SHOWN).map(({ pid }) => pid),
      movedBytes,
      failedBytes,
      heldBackBytes,
      pingPongBytes,
      pageMapBytes: this.#pageMaps.bytesHeld,
    };
  }

  #tellStuck(nowMs: number): void {
    for (const { pid, reason, failedBytes, pauseMs } of this.#ledger.newStuckProcesses(nowMs)) {
      this.#options.logger.warn(
        { pid, reason, failedBytes },
        `memory of process ${pid} does not move (${reason}), as when VFIO or RDMA has pinned it: it is left alone for ${pauseMs / 1000} s, longer each time that it fails again`,
      );
    }
  }

  async stop(): Promise<void> {
    this.#firstRead.abort();
    this.#run?.abort.abort();
    await this.#run?.done;
    this.#run = undefined;
  }

  async #carryOut(parts: Run['parts'], limits: MoveLimits, signal: AbortSignal): Promise<void> {
    // At the same time: calls queue, so batches alternate, and promotions do not wait until all demotions are done.
    const ends = await Promise.allSettled(
      parts.map(({ migration, result }) => this.#mover?.carryOut(migration, limits, result, signal)),
    );
    const failed = ends.find((end) => end.status === 'rejected');
    if (failed !== undefined) throw failed.reason;
  }
}

function startTimeNow(sysfs: SysFs, pid: number): number | undefined {
  try {
    return userProcess(sysfs, pid)?.startTime;
  } catch (error) {
    if (isOfOneProcess(error)) return undefined;
    throw error;
  }
}

function cut(run: Run, by: string): void {
  run.cutBy ??= by;
  run.abort.abort();
}

function flowsOf(parts: Run['parts']): ReadonlyMap<number, Flow> {
  const flows = new Map<number, Flow>();
  for (const { migration, result } of parts) {
    const flow = flows.get(migration.fromNodeId) ?? NO_FLOW;
    flows.set(
      migration.fromNodeId,
      migration.direction === 'promotion'
        ? {
            ...flow,
            promotedBytes: result.movedBytes,
            promotionTriedBytes: result.triedBytes,
            promotionMs: result.busyMs,
          }
        : {
            ...flow,
            demotedBytes: result.movedBytes,
            demotionTriedBytes: result.triedBytes,
            demotionMs: result.busyMs,
          },
    );
  }
  return flows;
}
