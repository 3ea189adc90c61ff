import type { PageMaps, RefreshReport } from '../../numa/page-maps/page-maps.ts';
import { errnoName } from '../../numa/syscalls/errno.ts';
import { SyscallError } from '../../numa/syscalls/errors.ts';
import type { MovePages } from '../../numa/syscalls/move-pages.ts';
import type { AddressRange } from '../../numa/topology.ts';
import type { ReadBlocks } from './bystanders.ts';
import { Bystanders } from './bystanders.ts';
import { HeatMemory } from './heat-memory.ts';
import type { PageBatch } from './page-batches.ts';
import { pageBatches } from './page-batches.ts';
import type { PageLedger } from './page-ledger.ts';
import type { PageSpan } from './page-memory.ts';
import type { RegionRates } from './region-rates.ts';
import { Searches } from './searches.ts';
import { pauseMs } from './throttle.ts';

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
}

export interface MoveLimits {
  /** Only memory of these processes; undefined: of all. */
  readonly pids?: ReadonlySet<number>;
  readonly settleMs: number;
  /** Share of one core. */
  readonly maxCpuShare: number;
  readonly dryRun: boolean;
}

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
  /** All page maps were read, and the ranges hold no more that may move. */
  isExhausted?: boolean;
}

export interface PageMoverOptions {
  readonly movePages: MovePages;
  readonly pageMaps: Pick<PageMaps, 'refresh' | 'find' | 'moved'>;
  readonly readBlocks: ReadBlocks;
  readonly ledger: PageLedger;
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
  readonly started: { readonly atMs: number; readonly cpuMs: number };
  readonly bystanders: Bystanders | undefined;
  readonly signal: AbortSignal;
}

const PAGE_BYTES = 4096;
/** What is known of a process's pages is read again after so long. */
const MAPS_MAX_AGE_MS = 5_000;
/** Reading page maps may take so long at a time: what is found by then is moved first ... */
const MAPS_BUDGET_MS = 400;
/** ... and so long in all for one migration: the next one goes on with it. */
const MAPS_TOTAL_MS = 1_200;
/** One page that cannot move keeps the kernel from those after it: what it did not reach is named again. */
const TRIES = 3;
/** A process that has exited, or is about to. */
const GONE = new Set(['ESRCH', 'EINVAL']);

/** Moves the pages of physical ranges with move_pages(2), batch by batch, within a budget of bytes and of processor time. */
export class PageMover {
  readonly #options: PageMoverOptions;
  #mapsReadAtMs = Number.NEGATIVE_INFINITY;
  /** By direction and node. */
  readonly #searches = new Map<string, Searches>();
  /** By node. */
  readonly #memories = new Map<number, HeatMemory>();

  constructor(options: PageMoverOptions) {
    this.#options = options;
  }

  /** Carries out a migration until its budget is met, nothing is left to move or `signal` says so, between batches. `result` grows meanwhile. */
  async carryOut(
    migration: Migration,
    limits: MoveLimits,
    result: MigrationResult,
    signal: AbortSignal,
  ): Promise<void> {
    const { pageMaps, ledger, nowMs, cpuMs, readBlocks } = this.#options;
    const { direction, fromNodeId, budgetBytes } = migration;
    const searches = this.#searchesOf(`${direction} ${fromNodeId}`);
    const started = { atMs: nowMs(), cpuMs: cpuMs() };
    if (!searches.isDue(budgetBytes, started.atMs)) return;
    const { rates } = migration;
    const bystanders = rates && new Bystanders({ rates, memory: this.#memoryOf(fromNodeId), nowMs, readBlocks });
    try {
      // What is known already first: to look again costs more than to move a few pages.
      let isKnown = started.atMs - this.#mapsReadAtMs < MAPS_MAX_AGE_MS;
      for (let mapsMs = 0; mapsMs < MAPS_TOTAL_MS && !signal.aborted; isKnown = false) {
        if (!isKnown) {
          const maps = await this.#readMaps(migration, limits, signal);
          mapsMs += maps.elapsedMs;
          result.maps = maps;
        }
        const before = result.triedBytes;
        if (bystanders !== undefined) {
          const lookedAtMs = nowMs();
          const there = pageMaps.find(migration.ranges, { maxBytes: Number.POSITIVE_INFINITY });
          await bystanders.look(there, (pid, page) => ledger.isStuck(pid, page, lookedAtMs));
          result.lookMs = (result.lookMs ?? 0) + nowMs() - lookedAtMs;
        }
        await this.#round({ migration, limits, result, started, bystanders, signal });
        if (limits.dryRun || leftPages(migration, result) === 0) break;
        result.isExhausted = !isKnown && result.triedBytes === before && result.maps?.isComplete === true;
        if (result.isExhausted) break;
      }
    } finally {
      result.busyMs += nowMs() - started.atMs;
      const isPartial = signal.aborted || result.maps?.isComplete === false;
      searches.ended(budgetBytes, result.triedBytes, nowMs(), isPartial);
    }
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
      signal,
    });
    this.#mapsReadAtMs = startedAtMs;
    return report;
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

  async #round(round: Round): Promise<void> {
    const { pageMaps, nowMs, cpuMs, sleep } = this.#options;
    const { migration, limits, result, started, signal } = round;
    const touched: PageBatch[] = [];
    try {
      for (const { batch, isLoose } of this.#batches(round)) {
        if (signal.aborted) return;
        const pause = pauseMs(cpuMs() - started.cpuMs, nowMs() - started.atMs, limits.maxCpuShare);
        if (pause > 0) await sleep(pause, signal);
        if (signal.aborted) return;
        touched.push(batch);
        if (limits.dryRun) result.triedBytes += bytesOf(batch);
        else await this.#move(batch, isLoose, migration, result);
      }
    } finally {
      // Only now: the search must not change while it goes on.
      for (const batch of touched) {
        for (const { startPage, pages } of spans(batch)) pageMaps.moved(batch.pid, startPage, pages);
      }
    }
  }

  /** What is known to lie in the ranges and may move, as far as the budget goes. */
  *#batches({
    migration,
    limits,
    result,
    bystanders,
  }: Round): Generator<{ readonly batch: PageBatch; readonly isLoose: boolean }> {
    const { pageMaps, ledger, nowMs } = this.#options;
    const { direction, ranges, looseFrom } = migration;
    const parts = [
      { wanted: ranges.slice(0, looseFrom), isLoose: false },
      { wanted: ranges.slice(looseFrom), isLoose: true },
    ];
    for (const { wanted, isLoose } of parts) {
      const runs = pageMaps.find(wanted, {
        maxBytes: Number.POSITIVE_INFINITY,
        ...(limits.pids && { pids: limits.pids }),
      });
      const mayMove = ledger.mayMove(direction, { nowMs: nowMs(), settleMs: limits.settleMs });
      const wished = bystanders?.without(runs) ?? runs;
      for (const batch of pageBatches(wished, leftPages(migration, result), mayMove)) yield { batch, isLoose };
    }
  }

  /** Moves those of a batch that are still where they were seen; page maps are a moment old. */
  async #move(batch: PageBatch, isLoose: boolean, migration: Migration, result: MigrationResult): Promise<void> {
    const { movePages } = this.#options;
    const { pid } = batch;
    try {
      const placement = await movePages({ pid, pages: batch.pages });
      let left = onNode(batch, placement, migration.fromNodeId);
      result.triedBytes += bytesOf(left);
      let statuses: Int32Array = new Int32Array();
      for (let tries = 0; tries < TRIES && left.pages.length > 0; tries += 1) {
        statuses = await movePages({ pid, pages: left.pages, targetNodeId: migration.toNodeId, moveAll: true });
        const stayed = await this.#account(left, isLoose, statuses, migration, result);
        if (stayed.pages.length === left.pages.length) break;
        left = stayed;
      }
      this.#fail(left, (index) => errnoName(-(statuses[index] ?? 0)));
    } catch (error) {
      if (!(error instanceof SyscallError)) throw error;
      // One process that refuses does not hold up the others; of one that has exited there is nothing to account for.
      if (!GONE.has(error.errno)) this.#fail(batch, () => error.errno);
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
    return isComplete ? NOTHING : onNode(batch, placement, fromNodeId);
  }

  #fail({ pid, pages, weights }: PageBatch, reason: (index: number) => string): void {
    const { ledger, nowMs } = this.#options;
    for (const [index, startPage] of pages.entries()) {
      ledger.failed(pid, { startPage, pages: weights[index] ?? 1 }, reason(index), nowMs());
    }
  }
}

const NOTHING: PageBatch = { pid: 0, pages: new Float64Array(), weights: new Float64Array() };

/** Those pages of a batch that a query found on a node: mostly all of them. */
function onNode(batch: PageBatch, placement: Int32Array, nodeId: number): PageBatch {
  if (placement.every((node) => node === nodeId)) return batch;
  const { pid, pages, weights } = batch;
  return {
    pid,
    pages: pages.filter((_, index) => placement[index] === nodeId),
    weights: weights.filter((_, index) => placement[index] === nodeId),
  };
}

function leftPages(migration: Migration, { movedBytes, triedBytes }: MigrationResult): number {
  // What fails is replaced, up to as much again.
  const left = Math.min(migration.budgetBytes - movedBytes, 2 * migration.budgetBytes - triedBytes);
  return Math.max(0, Math.floor(left / PAGE_BYTES));
}

function bytesOf({ weights }: PageBatch): number {
  return weights.reduce((sum, weight) => sum + weight, 0) * PAGE_BYTES;
}

/** Pages that follow each other, together. */
function* spans({ pages: named, weights }: PageBatch): Generator<PageSpan> {
  let startPage = 0;
  let pages = 0;
  for (let index = 0; index < named.length; index += 1) {
    const page = named[index] ?? 0;
    const weight = weights[index] ?? 1;
    if (pages > 0 && page === startPage + pages) {
      pages += weight;
      continue;
    }
    if (pages > 0) yield { startPage, pages };
    startPage = page;
    pages = weight;
  }
  if (pages > 0) yield { startPage, pages };
}
