import type { PageMaps, RefreshOptions, RefreshReport } from '../../numa/page-maps/page-maps.ts';
import { SyscallError } from '../../numa/syscalls/errors.ts';
import type { MovePages } from '../../numa/syscalls/move-pages.ts';
import { stayedErrno, tryMove } from '../../numa/syscalls/try-move.ts';
import type { AddressRange } from '../../numa/topology.ts';
import { CpuAllowance } from '../cpu-allowance.ts';
import type { ReadBlocks } from './bystanders.ts';
import { Bystanders } from './bystanders.ts';
import { HeatMemory } from './heat-memory.ts';
import type { NewestSnapshot } from './last-look.ts';
import { LastLook } from './last-look.ts';
import type { PageBatch } from './page-batch.ts';
import { bytesOf, NO_PAGES, onNode, spans } from './page-batch.ts';
import { batchPagesWithin, pageBatches } from './page-batches.ts';
import { PAGE_BYTES } from './page-bytes.ts';
import type { PageLedger, StartTimeOf } from './page-ledger.ts';
import type { RegionRates } from './region-rates.ts';
import { Searches } from './searches.ts';
import type { ProcessId } from './stuck-memory.ts';

/** One node's promotion or demotion until the next decision. */
export interface Migration {
  readonly direction: 'promotion' | 'demotion';
  readonly fromNodeId: number;
  readonly toNodeId: number;
  readonly budgetBytes: number;
  /** Physical ranges, what is to move first first. */
  readonly ranges: readonly AddressRange[];
  /** From this one on their pages move for the sake of the policy, not for what they are: after a change of policy they need not settle to move back. */
  readonly looseFrom: number;
  /** When told: pages of the ranges that are likely not what makes them hot stay. */
  readonly rates?: RegionRates;
  /** When told: pages of regions that have seen more accesses by the newest snapshot stay, though the order's was another. */
  readonly maxNrAccesses?: number;
}

export interface MoveLimits {
  /** Only memory of these processes; undefined: of all. */
  readonly pids?: ReadonlySet<number>;
  readonly settleMs: number;
  /** Share of one core. */
  readonly maxCpuShare: number;
  readonly dryRun: boolean;
}

/**
 * Why less has moved than was ordered: the ranges hold no more that may move (`exhausted`), the node to go to takes no more (`full`), it was told to stop
 * (`cut`), page maps are not yet read to the end (`unread`), or too much would not move (`refused`).
 */
export type Shortfall = 'exhausted' | 'full' | 'cut' | 'unread' | 'refused';

/** What has come of a migration so far. */
export interface MigrationResult {
  movedBytes: number;
  triedBytes: number;
  /** Time it was under way, pauses included. */
  busyMs: number;
  /** What was read last to find the pages. */
  maps?: RefreshReport;
  /** Time it took to tell hot pages from those between them. */
  lookMs?: number;
  /** What stayed because it was touched after the order was given. */
  turnedHotBytes?: number;
  /** Once it has ended. */
  shortfall?: Shortfall;
}

/** An order, and how far it has been carried out. */
export interface Part {
  readonly migration: Migration;
  readonly result: MigrationResult;
}

export interface PageMoverOptions {
  readonly movePages: MovePages;
  readonly pageMaps: Pick<PageMaps, 'refresh' | 'find' | 'moved' | 'startTimeOf'>;
  /** When the process began that has a pid now; undefined: there is none. */
  readonly startTimeNow: StartTimeOf;
  readonly readBlocks: ReadBlocks;
  readonly ledger: PageLedger;
  readonly newestSnapshot: NewestSnapshot;
  /** CLOCK_MONOTONIC in milliseconds. */
  readonly nowMs: () => number;
  /** Processor time of this process so far, in milliseconds. */
  readonly cpuMs: () => number;
  readonly sleep: (ms: number, signal: AbortSignal) => Promise<void>;
}

/** What one round of moving what is known is about. */
interface Round {
  readonly migration: Migration;
  readonly limits: MoveLimits;
  readonly result: MigrationResult;
  readonly bystanders: Bystanders | undefined;
  readonly lastLook: LastLook | undefined;
  readonly signal: AbortSignal;
}

/** What is known of a process's pages is read again after so long. */
const MAPS_MAX_AGE_MS = 5_000;
/** Reading page maps may take so long at a time: what is found by then is moved first ... */
const MAPS_BUDGET_MS = 400;
/** ... and so long in all for one migration: the next one goes on with it. */
const MAPS_TOTAL_MS = 1_200;
/** One page that cannot move keeps the kernel from those after it: what it did not reach is named again. */
const TRIES = 3;
/** Why nothing moves to a node that is full. */
const NO_ROOM = 'ENOMEM';
/** A process that has exited, or is about to. */
const GONE = new Set(['ESRCH', 'EINVAL']);

/** Moves the pages of physical ranges with move_pages(2), batch by batch, within a budget of bytes and of processor time. */
export class PageMover {
  readonly #options: PageMoverOptions;
  readonly #allowance: CpuAllowance;
  #mapsReadAtMs = Number.NEGATIVE_INFINITY;
  /** By direction and node. */
  readonly #searches = new Map<string, Searches>();
  /** By node. */
  readonly #memories = new Map<number, HeatMemory>();

  constructor(options: PageMoverOptions) {
    this.#options = options;
    this.#allowance = new CpuAllowance(options);
  }

  /** Reads page maps that nobody waits for yet, for so long. Throws what PageMaps.refresh() throws. */
  async readAhead(budgetMs: number, maxCpuShare: number, signal: AbortSignal): Promise<void> {
    const { pageMaps, nowMs } = this.#options;
    await this.#allowance.during(maxCpuShare, () =>
      pageMaps.refresh({ wanted: [], nowMs: nowMs(), maxAgeMs: 0, budgetMs, ...this.#sharing(signal) }),
    );
  }

  /** Carries out a migration until its budget is met, nothing is left to move or `signal` says so, between batches. `result` grows meanwhile. */
  async carryOut(
    migration: Migration,
    limits: MoveLimits,
    result: MigrationResult,
    signal: AbortSignal,
  ): Promise<void> {
    const { nowMs } = this.#options;
    const { direction, fromNodeId, budgetBytes } = migration;
    const searches = this.#searchesOf(`${direction} ${fromNodeId}`);
    const startedAtMs = nowMs();
    if (!searches.isDue(budgetBytes, startedAtMs)) {
      result.shortfall = 'exhausted';
      return;
    }
    try {
      const shortfall = await this.#allowance.during(limits.maxCpuShare, () =>
        this.#searchAndMove(migration, limits, result, signal),
      );
      if (shortfall !== undefined) result.shortfall = shortfall;
    } finally {
      result.busyMs += nowMs() - startedAtMs;
      const isPartial = signal.aborted || result.maps?.isComplete === false;
      searches.ended(budgetBytes, result.triedBytes, nowMs(), isPartial);
    }
  }

  async #searchAndMove(
    migration: Migration,
    limits: MoveLimits,
    result: MigrationResult,
    signal: AbortSignal,
  ): Promise<Shortfall | undefined> {
    const round = this.#roundOf(migration, limits, result, signal);
    // What is known already first: to look again costs more than to move a few pages.
    let isKnown = this.#options.nowMs() - this.#mapsReadAtMs < MAPS_MAX_AGE_MS;
    for (let mapsMs = 0; mapsMs < MAPS_TOTAL_MS; isKnown = false) {
      if (!(await this.#mayGoOn(signal))) return 'cut';
      if (!isKnown) {
        const maps = await this.#readMaps(migration, limits, signal);
        mapsMs += maps.elapsedMs;
        result.maps = maps;
      }
      const before = result.triedBytes;
      await this.#lookForBystanders(round);
      const isFull = await this.#moveKnown(round);
      if (limits.dryRun) return undefined;
      if (leftPages(migration, result) === 0) {
        return migration.budgetBytes - result.movedBytes < PAGE_BYTES ? undefined : 'refused';
      }
      if (isFull) return 'full';
      if (signal.aborted) return 'cut';
      if (!isKnown && result.triedBytes === before && result.maps?.isComplete === true) return 'exhausted';
    }
    return 'unread';
  }

  #roundOf(migration: Migration, limits: MoveLimits, result: MigrationResult, signal: AbortSignal): Round {
    const { nowMs, readBlocks, newestSnapshot: newest } = this.#options;
    const { rates, maxNrAccesses, fromNodeId: nodeId } = migration;
    const mayGoOn = () => this.#mayGoOn(signal);
    const bystanders = rates && new Bystanders({ rates, memory: this.#memoryOf(nodeId), nowMs, readBlocks, mayGoOn });
    const lastLook = maxNrAccesses === undefined ? undefined : new LastLook({ nodeId, maxNrAccesses, newest });
    return { migration, limits, result, bystanders, lastLook, signal };
  }

  /** Waits until the processor may be used again; false: it has been told to stop. */
  async #mayGoOn(signal: AbortSignal): Promise<boolean> {
    await this.#allowance.pause(signal);
    return !signal.aborted;
  }

  async #readMaps(migration: Migration, limits: MoveLimits, signal: AbortSignal): Promise<RefreshReport> {
    const { pageMaps, nowMs } = this.#options;
    const startedAtMs = nowMs();
    const report = await pageMaps.refresh({
      wanted: migration.ranges,
      ...(limits.pids && { pids: limits.pids }),
      nowMs: startedAtMs,
      maxAgeMs: MAPS_MAX_AGE_MS,
      budgetMs: MAPS_BUDGET_MS,
      ...this.#sharing(signal),
    });
    this.#mapsReadAtMs = startedAtMs;
    return report;
  }

  /** How reading page maps leaves the processor to others. */
  #sharing(signal: AbortSignal): Pick<RefreshOptions, 'pause' | 'waitFor' | 'signal'> {
    return {
      pause: (underWay) => this.#allowance.pause(signal, underWay),
      waitFor: (turn) => this.#allowance.waitFor(turn),
      signal,
    };
  }

  async #lookForBystanders({ migration, result, bystanders, signal }: Round): Promise<void> {
    const { pageMaps, ledger, nowMs } = this.#options;
    if (bystanders === undefined || !(await this.#mayGoOn(signal))) return;
    const lookedAtMs = nowMs();
    const there = pageMaps.find(migration.ranges, { maxBytes: Number.POSITIVE_INFINITY });
    await bystanders.look(there, (pid, page) => ledger.isStuck(this.#processOf(pid), page, lookedAtMs));
    result.lookMs = (result.lookMs ?? 0) + nowMs() - lookedAtMs;
  }

  #searchesOf(key: string): Searches {
    const searches = this.#searches.get(key) ?? new Searches();
    this.#searches.set(key, searches);
    return searches;
  }

  #memoryOf(nodeId: number): HeatMemory {
    const memory = this.#memories.get(nodeId) ?? new HeatMemory();
    this.#memories.set(nodeId, memory);
    return memory;
  }

  /** True when the node to go to takes no more. */
  async #moveKnown(round: Round): Promise<boolean> {
    const { pageMaps } = this.#options;
    const { limits, result, lastLook, signal } = round;
    const touched: PageBatch[] = [];
    const keptBefore = lastLook?.keptBytes ?? 0;
    try {
      for await (const { batch, isLoose } of this.#batches(round)) {
        if (!(await this.#mayGoOn(signal))) return false;
        touched.push(batch);
        if (limits.dryRun) result.triedBytes += bytesOf(batch);
        else if (await this.#move(batch, isLoose, round)) return true;
      }
      return false;
    } finally {
      // Each round comes by the same pages again.
      const keptBytes = (lastLook?.keptBytes ?? 0) - keptBefore;
      if (keptBytes > 0) result.turnedHotBytes = Math.max(result.turnedHotBytes ?? 0, keptBytes);
      // Only now: the search must not change while it goes on.
      for (const batch of touched) {
        for (const { startPage, pages } of spans(batch)) pageMaps.moved(batch.pid, startPage, pages);
      }
    }
  }

  /** What is known to lie in the ranges and may move, as far as the budget goes. */
  async *#batches({
    migration,
    limits,
    result,
    bystanders,
    lastLook,
    signal,
  }: Round): AsyncGenerator<{ readonly batch: PageBatch; readonly isLoose: boolean }> {
    const { pageMaps, ledger, nowMs } = this.#options;
    const { direction, ranges, looseFrom } = migration;
    const parts = [
      { wanted: ranges.slice(0, looseFrom), isLoose: false },
      { wanted: ranges.slice(looseFrom), isLoose: true },
    ];
    const options = {
      batchPages: batchPagesWithin(limits.maxCpuShare),
      ...(lastLook && {
        // A look for each batch; between the look and the move there is no pause.
        windowBatches: 1,
        mayGoOn: async () => {
          const mayGoOn = await this.#mayGoOn(signal);
          if (mayGoOn) await lastLook.refresh();
          return mayGoOn;
        },
      }),
    };
    for (const { wanted, isLoose } of parts) {
      const runs = pageMaps.find(wanted, {
        maxBytes: Number.POSITIVE_INFINITY,
        ...(limits.pids && { pids: limits.pids }),
      });
      const mayMove = ledger.mayMove(direction, {
        nowMs: nowMs(),
        settleMs: limits.settleMs,
        startTimeOf: (pid) => pageMaps.startTimeOf(pid),
      });
      const wished = bystanders?.without(runs) ?? lastLook?.cool(runs) ?? runs;
      const batches = pageBatches(wished, leftPages(migration, result), mayMove, options);
      for await (const batch of batches) yield { batch, isLoose };
    }
  }

  /** Moves those of a batch that are still where they were seen; page maps are a moment old. True when the node to go to takes no more. */
  async #move(batch: PageBatch, isLoose: boolean, { migration, result }: Round): Promise<boolean> {
    const { movePages } = this.#options;
    const { pid } = batch;
    const process = this.#processOf(pid);
    // Another one that has the pid now has other memory at these addresses.
    if (!this.#isThere(process)) return false;
    try {
      const placement = await movePages({ pid, pages: batch.pages });
      let left = onNode(batch, placement, migration.fromNodeId);
      result.triedBytes += bytesOf(left);
      let statuses: Int32Array = new Int32Array();
      for (let tries = 0; tries < TRIES && left.pages.length > 0; tries += 1) {
        statuses = await tryMove(movePages, {
          pid,
          pages: left.pages,
          targetNodeId: migration.toNodeId,
          moveAll: true,
        });
        if (!this.#isThere(process)) {
          this.#fail(process, left, { reasonOf: () => 'ESRCH', isWhole: false });
          return false;
        }
        const stayed = await this.#account(left, isLoose, statuses, migration, result);
        if (stayed.pages.length === left.pages.length) break;
        left = stayed;
      }
      const reasonOf = (index: number) => stayedErrno(statuses[index]);
      this.#fail(process, left, { reasonOf, isWhole: false });
      return left.pages.length > 0 && reasonOf(0) === NO_ROOM;
    } catch (error) {
      if (!(error instanceof SyscallError)) throw error;
      // One process that refuses does not hold up the others; of one that has exited there is nothing to account for.
      if (!GONE.has(error.errno)) this.#fail(process, batch, { reasonOf: () => error.errno, isWhole: true });
      return false;
    }
  }

  /** Notes what has moved; gives what is still there. */
  async #account(
    batch: PageBatch,
    isLoose: boolean,
    statuses: Int32Array,
    { direction, fromNodeId, toNodeId }: Migration,
    result: MigrationResult,
  ): Promise<PageBatch> {
    const { movePages, ledger, nowMs } = this.#options;
    const { pid } = batch;
    // The call ends at the first page that does not move, and tells nothing then of those it had begun with.
    const isComplete = statuses.every((status) => status === toNodeId);
    const placement = isComplete ? statuses : await movePages({ pid, pages: batch.pages });
    const moved = onNode(batch, placement, toNodeId);
    result.movedBytes += bytesOf(moved);
    const options = { nowMs: nowMs(), isLoose };
    for (const span of spans(moved)) ledger.moved(direction, pid, span, options);
    return isComplete ? NO_PAGES : onNode(batch, placement, fromNodeId);
  }

  #fail(
    process: ProcessId,
    { pages, weights }: PageBatch,
    { reasonOf, isWhole }: { readonly reasonOf: (index: number) => string; readonly isWhole: boolean },
  ): void {
    const { ledger } = this.#options;
    const nowMs = this.#options.nowMs();
    for (const [index, startPage] of pages.entries()) {
      const failure = { reason: reasonOf(index), nowMs, isWhole };
      ledger.failed(process, { startPage, pages: weights[index] ?? 1 }, failure);
    }
  }

  /** The process whose page maps are known under a pid. */
  #processOf(pid: number): ProcessId {
    return { pid, startTime: this.#options.pageMaps.startTimeOf(pid) ?? 0 };
  }

  #isThere({ pid, startTime }: ProcessId): boolean {
    return this.#options.startTimeNow(pid) === startTime;
  }
}

function leftPages(migration: Migration, { movedBytes, triedBytes }: MigrationResult): number {
  // What fails is replaced, up to as much again.
  const left = Math.min(migration.budgetBytes - movedBytes, 2 * migration.budgetBytes - triedBytes);
  return Math.max(0, Math.floor(left / PAGE_BYTES));
}
