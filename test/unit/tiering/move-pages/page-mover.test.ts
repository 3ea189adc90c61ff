import { constants } from 'node:os';
import { describe, expect, test } from 'vitest';
import type { PageRun, RefreshReport } from '../../../../numa/page-maps/page-maps.ts';
import { RunBuffer } from '../../../../numa/page-maps/pagemap-runs.ts';
import { SyscallError } from '../../../../numa/syscalls/errors.ts';
import type { MovePagesRequest } from '../../../../numa/syscalls/move-pages.ts';
import type { AddressRange } from '../../../../numa/topology.ts';
import { PageLedger } from '../../../../tiering/move-pages/page-ledger.ts';
import type { Migration, MigrationResult, MoveLimits } from '../../../../tiering/move-pages/page-mover.ts';
import { PageMover } from '../../../../tiering/move-pages/page-mover.ts';
import { RegionRates } from '../../../../tiering/move-pages/region-rates.ts';
import type { NodeSnapshot } from '../../../../tiering/snapshot.ts';

const PAGE = 4096;
const ENOENT = -constants.errno.ENOENT;
const EAGAIN = -constants.errno.EAGAIN;
/** When every process was started. */
const STARTED = 4711;
const FRESH: RefreshReport = {
  processesRead: 0,
  processesFresh: 0,
  pagesScanned: 0,
  bytesHeld: 0,
  elapsedMs: 0,
  skipped: [],
  isComplete: true,
};

/** A machine whose pages are numbers: where each is, and what moving it answers. */
class Machine {
  nowMs = 1000;
  cpuMs = 0;
  readonly nodeOf = new Map<number, number>();
  /** Pages that stay where they are. */
  readonly refuses = new Set<number>();
  /** By pid: how every call fails. */
  readonly errors = new Map<number, Error>();
  readonly moves: number[] = [];
  /** Of those processes that are not the ones that were seen. */
  readonly startTimes = new Map<number, number>();
  readonly voided: string[] = [];
  /** What the next looks at page maps report; then all is complete. */
  readonly refreshes: RefreshReport[] = [];
  /** Of one look at page maps. */
  refreshCostMs = 0;
  /** Pages that the node to go to still takes. */
  roomPages = Number.POSITIVE_INFINITY;
  snapshot: NodeSnapshot | undefined;
  onMove: () => void = () => undefined;
  readonly ledger = new PageLedger(10_000);
  readonly mover: PageMover;

  /** `find`: what lies in physical ranges; all of the runs when not told. */
  constructor(
    runs: readonly PageRun[],
    find = (ranges: readonly AddressRange[]): readonly PageRun[] => (ranges.length === 0 ? [] : runs),
  ) {
    for (const { startPage, pages } of runs) {
      for (let page = startPage; page < startPage + pages; page += 1) this.nodeOf.set(page, 1);
    }
    this.mover = new PageMover({
      movePages: (request) => this.#movePages(request),
      pageMaps: {
        refresh: async () => {
          this.nowMs += this.refreshCostMs;
          this.cpuMs += this.refreshCostMs;
          return this.refreshes.shift() ?? FRESH;
        },
        find,
        startTimeOf: () => STARTED,
        moved: (pid, startPage, pages) => this.voided.push(`${pid}: ${startPage}+${pages}`),
      },
      // A page lies in the frame of the same number.
      readBlocks: async (_pid, blocks, visit) => {
        for (const block of blocks) {
          const found = new RunBuffer();
          for (let page = block * 512; page < (block + 1) * 512; page += 1) {
            if (this.nodeOf.get(page) === 1) found.push(page, page, 1);
          }
          visit(block, found);
        }
      },
      startTimeNow: (pid) => this.startTimes.get(pid) ?? STARTED,
      ledger: this.ledger,
      newestSnapshot: async () => this.snapshot,
      nowMs: () => this.nowMs,
      cpuMs: () => this.cpuMs,
      sleep: async (ms) => {
        this.nowMs += ms;
      },
    });
  }

  /** As the kernel (do_pages_move()): when a page does not move, those beside it do, and nothing is told of any. */
  async #movePages({ pid, pages, targetNodeId }: MovePagesRequest): Promise<Int32Array> {
    const error = this.errors.get(pid);
    if (error !== undefined) throw error;
    if (targetNodeId === undefined) return Int32Array.from(pages, (page) => this.nodeOf.get(page) ?? ENOENT);
    this.moves.push(pages.length);
    this.nowMs += 10;
    this.cpuMs += 10;
    this.onMove();
    const movable = pages.filter((page) => !this.refuses.has(page)).slice(0, this.roomPages);
    for (const page of movable) this.nodeOf.set(page, targetNodeId);
    this.roomPages -= movable.length;
    // A part has moved all the same.
    if (this.roomPages === 0 && movable.length < pages.length) {
      throw new SyscallError('move_pages', `pid ${pid}`, constants.errno.ENOMEM);
    }
    return new Int32Array(pages.length).fill(movable.length === pages.length ? targetNodeId : EAGAIN);
  }

  async promote(
    budgetPages: number,
    limits: Partial<MoveLimits> = {},
    signal = new AbortController().signal,
    rates?: RegionRates,
  ) {
    const result: MigrationResult = { movedBytes: 0, triedBytes: 0, busyMs: 0 };
    const migration: Migration = {
      direction: 'promotion',
      fromNodeId: 1,
      toNodeId: 0,
      budgetBytes: budgetPages * PAGE,
      ranges: [{ start: 0, end: 2 ** 40 }],
      looseFrom: 0,
      ...(rates && { rates }),
    };
    await this.mover.carryOut(
      migration,
      { settleMs: 10_000, maxCpuShare: 1, dryRun: false, ...limits },
      result,
      signal,
    );
    return {
      movedPages: result.movedBytes / PAGE,
      triedPages: result.triedBytes / PAGE,
      busyMs: result.busyMs,
      shortfall: result.shortfall,
    };
  }

  pagesOn(node: number): number {
    return [...this.nodeOf.values()].filter((found) => found === node).length;
  }
}

const run = (pid: number, startPage: number, pages: number, huge = false): PageRun => ({
  pid,
  startPage,
  startFrame: startPage,
  pages,
  huge,
});

describe('moving pages', () => {
  test('leaves pages where they are that lie between hot ones, but belong to a cold block', async () => {
    // Block 0 is hot. Of block 1 the first 100 pages lie in its region, and all others in an idle one.
    const regions = [
      { start: 0, end: 612 * PAGE, nrAccesses: 8, age: 5 },
      { start: 612 * PAGE, end: 2000 * PAGE, nrAccesses: 0, age: 5 },
    ];
    const snapshot = { nodeId: 1, takenAtMs: 0, maxNrAccesses: 10, aggregationIntervalMs: 500, regions };
    const machine = new Machine([run(7, 0, 1024)], (ranges) => (ranges.length === 0 ? [] : [run(7, 0, 612)]));
    const rates = new RegionRates(snapshot, PAGE);
    expect(await machine.promote(5000, {}, undefined, rates)).toMatchObject({
      movedPages: 512,
      shortfall: 'exhausted',
    });
    expect(machine.nodeOf.get(512)).toBe(1);
  });

  test('moves exactly the budget, and says what is void now', async () => {
    const machine = new Machine([run(7, 0, 10_000)]);
    expect(await machine.promote(5000)).toMatchObject({ movedPages: 5000, triedPages: 5000 });
    expect(machine.pagesOn(0)).toBe(5000);
    expect(machine.moves).toEqual([4096, 904]);
    expect(machine.voided).toEqual(['7: 0+4096', '7: 4096+904']);
  });

  test('leaves out pages that are not where they were seen, and takes others for them', async () => {
    const machine = new Machine([run(7, 0, 100), run(7, 5000, 100)]);
    for (let page = 0; page < 50; page += 1) machine.nodeOf.set(page, 0);
    for (let page = 50; page < 100; page += 1) machine.nodeOf.delete(page);
    expect(await machine.promote(200)).toMatchObject({ movedPages: 100, triedPages: 100 });
  });

  test('counts what moved beside a page that did not, though the kernel does not tell', async () => {
    const machine = new Machine([run(7, 0, 100)]);
    machine.refuses.add(60);
    await machine.promote(100);
    expect(machine.pagesOn(0)).toBe(99);
    expect(machine.ledger.movedBytes).toBe(99 * PAGE);
    expect(machine.ledger.failedBytes).toEqual({ EAGAIN: PAGE });
  });

  test('leaves a process alone that has the pid of the one that was seen', async () => {
    const machine = new Machine([run(7, 0, 100), run(8, 1000, 100)]);
    machine.startTimes.set(7, STARTED + 1);
    expect(await machine.promote(200)).toMatchObject({ movedPages: 100 });
    expect(machine.nodeOf.get(0)).toBe(1);
    expect(machine.ledger.failedBytes).toEqual({});
  });

  test('takes no account of pages of a process that ended while they moved', async () => {
    const machine = new Machine([run(7, 0, 100)]);
    machine.onMove = () => machine.startTimes.set(7, STARTED + 1);
    expect(await machine.promote(100)).toMatchObject({ movedPages: 0 });
    expect(machine.ledger.movedBytes).toBe(0);
    expect(machine.ledger.failedBytes).toEqual({ ESRCH: 100 * PAGE });
    // A process that is gone is no process whose memory is pinned.
    expect(machine.ledger.isStuck({ pid: 7, startTime: STARTED }, 0, machine.nowMs)).toBe(false);
    expect(machine.ledger.newStuckProcesses(machine.nowMs - 1)).toEqual([]);
  });

  test('tries pinned memory for a while, then next to never, and says of which process it is', async () => {
    const pages = 40_000;
    const machine = new Machine([run(7, 0, pages), run(8, 100_000, 100)]);
    for (let page = 0; page < pages; page += 1) machine.refuses.add(page);
    let triedPages = 0;
    for (let round = 0; round < 300; round += 1) {
      triedPages += (await machine.promote(4096)).triedPages;
      machine.nowMs += 10_000;
    }
    expect(machine.pagesOn(0)).toBe(100);
    // In 50 minutes that was 64 MiB, and a budget more after each pause. Without them it would be a million pages.
    expect(triedPages).toBeLessThan(100_000);
    expect(machine.ledger.stuckProcesses(machine.nowMs)).toMatchObject([{ pid: 7, reason: 'EAGAIN' }]);
    expect(machine.ledger.newStuckProcesses(machine.nowMs)).toHaveLength(1);
    expect(machine.ledger.newStuckProcesses(machine.nowMs)).toEqual([]);
  });

  test('does not try a page again soon that could not move', async () => {
    const machine = new Machine([run(7, 0, 1), run(7, 10, 1)]);
    machine.refuses.add(0);
    expect(await machine.promote(2)).toMatchObject({ movedPages: 1, triedPages: 2 });
    machine.nowMs += 1000;
    expect(await machine.promote(2)).toMatchObject({ movedPages: 0, triedPages: 0 });
    machine.refuses.clear();
    machine.nowMs += 60_000;
    expect((await machine.promote(2)).movedPages).toBe(1);
    expect(machine.pagesOn(0)).toBe(2);
  });

  test('a process that has exited costs nothing', async () => {
    const machine = new Machine([run(7, 0, 100), run(8, 1000, 100)]);
    machine.errors.set(7, new SyscallError('move_pages', 'pid 7', constants.errno.ESRCH));
    expect(await machine.promote(200)).toMatchObject({ movedPages: 100 });
    expect(machine.ledger.failedBytes).toEqual({});
  });

  test('a process that refuses is accounted for, and the others go on', async () => {
    const machine = new Machine([run(7, 0, 100), run(8, 1000, 100)]);
    machine.errors.set(7, new SyscallError('move_pages', 'pid 7', constants.errno.EPERM));
    expect(await machine.promote(200)).toMatchObject({ movedPages: 100 });
    expect(machine.ledger.failedBytes).toEqual({ EPERM: 100 * PAGE });
  });

  test('a huge page is named once and counts whole', async () => {
    const machine = new Machine([run(7, 512, 512, true)]);
    expect(await machine.promote(512)).toMatchObject({ movedPages: 512 });
    expect(machine.moves).toEqual([1]);
  });

  test('stops between batches when it is told to', async () => {
    const machine = new Machine([run(7, 0, 100_000)]);
    const abort = new AbortController();
    machine.onMove = () => abort.abort();
    expect(await machine.promote(100_000, {}, abort.signal)).toMatchObject({ movedPages: 4096 });
  });

  test('keeps to its share of a core', async () => {
    const machine = new Machine([run(7, 0, 100_000)]);
    const { busyMs } = await machine.promote(10 * 1024, { maxCpuShare: 0.25 });
    expect(machine.cpuMs).toBe(100);
    // The last batch may end before its pause.
    expect(busyMs).toBeGreaterThanOrEqual(90 / 0.25);
    expect(busyMs).toBeLessThanOrEqual(110 / 0.25);
  });

  test('looking at page maps counts, from one order to the next, and so does what an aborted order has used', async () => {
    const machine = new Machine([run(7, 0, 100_000)]);
    machine.refreshCostMs = 40;
    const startedMs = machine.nowMs;
    for (let order = 0; order < 20; order += 1) {
      const abort = new AbortController();
      machine.onMove = () => abort.abort();
      await machine.promote(4096, { maxCpuShare: 0.2 }, order % 2 === 0 ? abort.signal : undefined);
      machine.onMove = () => undefined;
      // Page maps are read anew.
      machine.nowMs += 1;
      machine.refreshes.push({ ...FRESH, isComplete: false });
      if (order % 4 === 3) machine.nowMs += 6_000;
    }
    const workedMs = machine.nowMs - startedMs - 5 * 6_000;
    expect(machine.cpuMs).toBeGreaterThan(200);
    expect(machine.cpuMs / workedMs).toBeLessThan(0.25);
  });

  test('an order that follows an aborted one waits first for what that one has used', async () => {
    const machine = new Machine([run(7, 0, 100_000)]);
    machine.refreshCostMs = 400;
    const abort = new AbortController();
    machine.onMove = () => abort.abort();
    await machine.promote(4096, { maxCpuShare: 0.1 }, abort.signal);
    const endedMs = machine.nowMs;
    let movedAtMs = 0;
    machine.onMove = () => {
      movedAtMs ||= machine.nowMs;
    };
    await machine.promote(2 * 4096, { maxCpuShare: 0.1 });
    expect(movedAtMs - endedMs).toBeGreaterThan(80);
  });

  test('what has moved when the node to go to fills up counts as moved, and what stayed as failed', async () => {
    const machine = new Machine([run(7, 0, 1000)]);
    machine.roomPages = 600;
    expect(await machine.promote(1000)).toMatchObject({ movedPages: 600, triedPages: 1000, shortfall: 'full' });
    expect(machine.ledger.movedBytes).toBe(600 * PAGE);
    expect(machine.ledger.failedBytes).toEqual({ ENOMEM: 400 * PAGE });
    // Nothing is wrong with those pages.
    machine.roomPages = 1000;
    expect(await machine.promote(1000)).toMatchObject({ movedPages: 400 });
  });

  test('goes on reading page maps while they are not complete, and says when there is no more', async () => {
    const partial: RefreshReport = { ...FRESH, elapsedMs: 400, isComplete: false };
    const machine = new Machine([run(7, 0, 100)]);
    machine.refreshes.push(partial, partial);
    expect(await machine.promote(200)).toMatchObject({ movedPages: 100, shortfall: 'exhausted' });
    expect(machine.refreshes).toEqual([]);

    const large = new Machine([]);
    large.refreshes.push(...new Array<RefreshReport>(10).fill(partial));
    expect(await large.promote(200)).toMatchObject({ movedPages: 0, shortfall: 'unread' });
    expect(large.refreshes).toHaveLength(7);
  });

  test('a dry run moves nothing and says what it would have tried', async () => {
    const machine = new Machine([run(7, 0, 100)]);
    expect(await machine.promote(100, { dryRun: true })).toMatchObject({ movedPages: 0, triedPages: 100 });
    expect(machine.moves).toEqual([]);
  });
});

test('a demotion leaves alone what is touched after it was ordered', async () => {
  const machine = new Machine([run(7, 0, 3 * 4096)]);
  const snapshot = (nrAccesses: number): NodeSnapshot => ({
    nodeId: 1,
    takenAtMs: machine.nowMs,
    maxNrAccesses: 10,
    aggregationIntervalMs: 500,
    regions: [
      { start: 0, end: 5000 * PAGE, nrAccesses: 0, age: 10 },
      { start: 5000 * PAGE, end: 9000 * PAGE, nrAccesses, age: 0 },
      { start: 9000 * PAGE, end: 3 * 4096 * PAGE, nrAccesses: 0, age: 10 },
    ],
  });
  machine.snapshot = snapshot(0);
  machine.onMove = () => {
    machine.snapshot = snapshot(3);
  };
  const result: MigrationResult = { movedBytes: 0, triedBytes: 0, busyMs: 0 };
  const migration: Migration = {
    direction: 'demotion',
    fromNodeId: 1,
    toNodeId: 2,
    budgetBytes: 3 * 4096 * PAGE,
    ranges: [{ start: 0, end: 3 * 4096 * PAGE }],
    looseFrom: 1,
    maxNrAccesses: 0,
  };
  const limits = { settleMs: 10_000, maxCpuShare: 1, dryRun: false };
  await machine.mover.carryOut(migration, limits, result, new AbortController().signal);
  const stayed = [...machine.nodeOf].filter(([, node]) => node === 1).map(([page]) => page);
  expect([stayed.length, stayed[0], stayed.at(-1)]).toEqual([4000, 5000, 8999]);
  expect(result).toMatchObject({ movedBytes: (3 * 4096 - 4000) * PAGE, turnedHotBytes: 4000 * PAGE });
  expect(result.shortfall).toBe('exhausted');
});

test('a demotion tells what leaves though hot from what leaves for being cold', async () => {
  const cold = run(7, 0, 50);
  const hot = run(8, 1000, 50);
  const machine = new Machine([cold, hot], (ranges) => ranges.map(({ start }) => (start === 0 ? cold : hot)));
  const result: MigrationResult = { movedBytes: 0, triedBytes: 0, busyMs: 0 };
  const demotion = { direction: 'demotion', fromNodeId: 1, toNodeId: 2, budgetBytes: 100 * PAGE } as const;
  const limits = { settleMs: 10_000, maxCpuShare: 1, dryRun: false };
  const ranges = [
    { start: 0, end: 100 },
    { start: 100, end: 200 },
  ];
  await machine.mover.carryOut({ ...demotion, ranges, looseFrom: 1 }, limits, result, new AbortController().signal);
  machine.ledger.relax(machine.nowMs);
  const mayReturn = machine.ledger.mayMove('promotion', {
    nowMs: machine.nowMs,
    settleMs: 10_000,
    startTimeOf: () => STARTED,
  });
  expect([mayReturn(7, 0), mayReturn(8, 1000)]).toEqual([false, true]);
});

describe('pages that were moved', () => {
  const demoted = (machine: Machine, pages: number, isLoose = false) =>
    machine.ledger.moved('demotion', 7, { startPage: 0, pages }, { nowMs: machine.nowMs, isLoose });

  test('do not move back before they have settled; each is counted once', async () => {
    const machine = new Machine([run(7, 0, 100)]);
    demoted(machine, 60);
    machine.nowMs += 5000;
    expect(await machine.promote(100)).toMatchObject({ movedPages: 40 });
    expect(await machine.promote(100)).toMatchObject({ movedPages: 0 });
    expect(machine.ledger.heldBackBytes).toBe(60 * PAGE);
    expect(machine.ledger.pingPongBytes).toBe(0);
  });

  test('do not move back because for how long they settle has changed', async () => {
    const machine = new Machine([run(7, 0, 100)]);
    demoted(machine, 60);
    machine.nowMs += 1000;
    expect(await machine.promote(100, { settleMs: 20_000 })).toMatchObject({ movedPages: 40 });
    machine.nowMs += 14_000;
    expect(await machine.promote(100, { settleMs: 20_000 })).toMatchObject({ movedPages: 0 });
    // A search in vain is not repeated at once.
    machine.nowMs += 2000;
    expect(await machine.promote(100, { settleMs: 12_000 })).toMatchObject({ movedPages: 60 });
  });

  test('move back later, which is counted as ping-pong when it is soon', async () => {
    const machine = new Machine([run(7, 0, 100)]);
    demoted(machine, 60);
    machine.nowMs += 12_000;
    expect(await machine.promote(100)).toMatchObject({ movedPages: 100 });
    expect(machine.ledger.pingPongBytes).toBe(60 * PAGE);
  });

  test('may move on in the same direction', async () => {
    const machine = new Machine([run(7, 0, 100)]);
    machine.ledger.moved('promotion', 7, { startPage: 0, pages: 100 }, { nowMs: machine.nowMs, isLoose: true });
    expect(await machine.promote(100)).toMatchObject({ movedPages: 100 });
  });

  test('may move back at once when the operator wants something else and they had left though hot', async () => {
    const machine = new Machine([run(7, 0, 100)]);
    demoted(machine, 100, true);
    machine.ledger.relax(machine.nowMs);
    expect(await machine.promote(100)).toMatchObject({ movedPages: 100 });
    expect(machine.ledger.pingPongBytes).toBe(0);
  });

  test('settle even then when they had left for being cold', async () => {
    const machine = new Machine([run(7, 0, 100)]);
    demoted(machine, 100);
    machine.ledger.relax(machine.nowMs);
    expect(await machine.promote(100)).toMatchObject({ movedPages: 0 });
    machine.nowMs += 12_000;
    expect(await machine.promote(100)).toMatchObject({ movedPages: 100 });
  });

  test('settle as ever when they move after the operator wanted something else', async () => {
    const machine = new Machine([run(7, 0, 100)]);
    demoted(machine, 50, true);
    machine.ledger.relax(machine.nowMs);
    machine.nowMs += 1;
    const later = { nowMs: machine.nowMs, isLoose: true };
    machine.ledger.moved('demotion', 7, { startPage: 50, pages: 50 }, later);
    machine.nowMs += 1;
    expect(await machine.promote(100)).toMatchObject({ movedPages: 50 });
  });
});
