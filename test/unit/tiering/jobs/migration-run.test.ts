import { describe, expect, test } from 'vitest';
import { JobRecord } from '../../../../tiering/jobs/job-record.ts';
import type { MigrationJob, MigrationOrder } from '../../../../tiering/jobs/migration-job.ts';
import { runMigration } from '../../../../tiering/jobs/migration-run.ts';
import type { FindResident } from '../../../../tiering/jobs/resident-runs.ts';
import { requireTarget } from '../../../../tiering/jobs/target-processes.ts';
import type { FakeProcess } from './fake-machine.ts';
import { FakeMachine, MIB } from './fake-machine.ts';

const FAST = 1024 * MIB;

/** Runs a migration from node 1 to node 0 to its end. */
async function migrate(
  machine: FakeMachine,
  order: Partial<MigrationOrder> & Pick<MigrationOrder, 'target'>,
  abort = new AbortController(),
): Promise<MigrationJob> {
  const { clock } = machine;
  const record = new JobRecord(1, { from: [1], to: 0, maxBytesPerSecond: FAST, ...order }, clock.now());
  record.start(clock.now());
  const only = await requireTarget(machine.sysfs, record.order.target);
  record.end(await runMigration(record, machine, abort.signal, only), clock.now());
  return record.view(clock.now());
}

describe('a migration of a process', () => {
  test('moves what lies on the node to leave, and nothing else', async () => {
    const machine = new FakeMachine();
    const process = machine.add(7).map(0x1000, 40, 1).map(0x10000, 8, 0).map(0x20000, 3, 1);
    const job = await migrate(machine, { target: { pid: 7 } });
    expect(job).toMatchObject({
      state: 'done',
      movedBytes: 43 * MIB,
      totalBytes: 43 * MIB,
      failedBytes: 0,
      failures: [],
      progress: 1,
      processes: { seen: 1, gone: 0 },
    });
    expect(job.message).toBeUndefined();
    expect(process.bytesOn(0)).toBe(51 * MIB);
    expect(machine.moves.every(({ pages, moveAll }) => pages.length <= 4096 && moveAll === true)).toBe(true);
  });

  test('does not search address space that holds nothing on that node', async () => {
    const machine = new FakeMachine();
    machine
      .add(7)
      .reserve(0x100000, 64 * 1024)
      .map(0x10000000, 4, 1);
    const job = await migrate(machine, { target: { pid: 7 } });
    expect(job).toMatchObject({ movedBytes: 4 * MIB, scannedBytes: 4 * MIB });
    expect(machine.queries[0]?.pages).toHaveLength(1024);
  });

  test('names only what is in memory where most of an area is empty', async () => {
    const machine = new FakeMachine();
    const process = machine.add(7).map(0x1000, 4, 1).map(0x100000, 64, 1);
    for (let page = 0x100000 + 10; page < 0x100000 + 16_384; page++) process.nodeOf.delete(page);
    const job = await migrate(machine, { target: { pid: 7 } });
    expect(job).toMatchObject({ state: 'done', movedBytes: 4 * MIB + 10 * 4096, failedBytes: 0 });
    // The area that is full was not searched, the pages of the other one not asked for.
    expect(machine.searchedPages).toBe(16_384);
    const asked = machine.queries.reduce((sum, { pages }) => sum + pages.length, 0);
    expect(asked).toBeLessThan(4 * (1024 + 10));
  });

  test('can be stopped while it searches what is empty', async () => {
    const machine = new FakeMachine();
    const process = machine.add(7).map(0x100000, 64, 1);
    for (let page = 0x100000 + 10; page < 0x100000 + 16_384; page++) process.nodeOf.delete(page);
    const abort = new AbortController();
    const searching: FindResident = async function* nothing() {
      for (let steps = 0; steps < 1000; steps++) {
        if (steps === 3) abort.abort();
        if (steps > 3) throw new Error('searches on');
        yield [];
      }
    };
    const patched = Object.assign(machine, { findResident: searching });
    expect(await migrate(patched, { target: { pid: 7 } }, abort)).toMatchObject({ state: 'cancelled', movedBytes: 0 });
  });

  test('leaves several nodes at once', async () => {
    const machine = new FakeMachine();
    machine.freeBytes.set(2, FAST);
    const process = machine.add(7).map(0x1000, 2, 1).map(0x2000, 2, 2);
    expect(await migrate(machine, { target: { pid: 7 }, from: [1, 2] })).toMatchObject({ movedBytes: 4 * MIB });
    expect(process.bytesOn(0)).toBe(4 * MIB);
  });

  test('with nothing there says so', async () => {
    const machine = new FakeMachine();
    machine.add(7).map(0x1000, 1, 0);
    expect(await migrate(machine, { target: { pid: 7 } })).toMatchObject({
      state: 'done',
      movedBytes: 0,
      message: 'nothing to move: no memory on node 1',
    });
    expect(machine.moves).toEqual([]);
  });

  test('counts every byte of huge pages, though the kernel says EBUSY of their parts', async () => {
    const machine = new FakeMachine();
    // Not at a border of 16 MiB, so that a batch which did not mind huge pages would cut one in two.
    machine
      .add(7)
      .map(512 * 5 - 100, 1, 1)
      .map(512 * 9, 38, 1, 'huge');
    expect(await migrate(machine, { target: { pid: 7 } })).toMatchObject({
      state: 'done',
      movedBytes: 39 * MIB,
      failedBytes: 0,
    });
  });

  test('names hugetlb pages by their first page only', async () => {
    const machine = new FakeMachine();
    machine
      .add(7)
      .map(512 * 8, 12, 1, 'hugetlb')
      .map(512 * 20, 1, 1);
    const job = await migrate(machine, { target: { pid: 7 } });
    expect(job).toMatchObject({ totalBytes: 13 * MIB, movedBytes: 13 * MIB, failedBytes: 0 });
    expect(machine.moves[0]?.pages).toEqual(Float64Array.from([8, 9, 10, 11, 12, 13].map((block) => block * 512)));
  });

  test('keeps to its bytes a second', async () => {
    const machine = new FakeMachine();
    machine.add(7).map(512 * 8, 64, 1);
    const job = await migrate(machine, { target: { pid: 7 }, maxBytesPerSecond: 16 * MIB });
    // Nobody waits after the last batch of 4 MiB.
    expect(machine.nowMs).toBe(3750);
    expect(job.bytesPerSecond).toBe(Math.round((64 * MIB) / 3.75));
    expect(machine.moves.map(({ pages }) => pages.length)).toEqual(new Array(16).fill(1024));
  });
});

describe('pages that do not move', () => {
  test('are tried again at the end, when they were busy', async () => {
    const machine = new FakeMachine();
    const process = machine.add(7).map(0x1000, 32, 1);
    for (const page of [0x1010, 0x1400, 0x2345]) process.busyTimes.set(page, 2);
    expect(await migrate(machine, { target: { pid: 7 } })).toMatchObject({
      state: 'done',
      movedBytes: 32 * MIB,
      failedBytes: 0,
    });
  });

  test('are given up when nothing of so much moves, as when they are pinned', async () => {
    const machine = new FakeMachine();
    const process = machine.add(7).map(0x1000, 256, 1);
    for (const page of process.nodeOf.keys()) process.busyTimes.set(page, Number.POSITIVE_INFINITY);
    const other = machine.add(8).map(0x1000, 4, 1);
    for (const page of other.nodeOf.keys()) other.busyTimes.set(page, 1);
    const job = await migrate(machine, { target: { cgroup: '/' } });
    expect(job).toMatchObject({ state: 'done', movedBytes: 4 * MIB, failedBytes: 256 * MIB });
    // Once in steps of 16 MiB, and 64 MiB of it again in steps of 2 MiB.
    expect(machine.moves.filter(({ pid }) => pid === 7).length).toBeLessThanOrEqual(16 + 32);
  });

  test('are counted as busy when they stay so', async () => {
    const machine = new FakeMachine();
    const process = machine.add(7).map(0x1000, 32, 1);
    for (const page of [0x1010, 0x1400, 0x2345]) process.busyTimes.set(page, Number.POSITIVE_INFINITY);
    const job = await migrate(machine, { target: { pid: 7 } });
    expect(job).toMatchObject({
      state: 'done',
      movedBytes: 32 * MIB - 3 * 4096,
      failures: [{ reason: 'busy', errno: 'EAGAIN', bytes: 3 * 4096 }],
      message: 'some memory stayed: busy',
    });
  });

  test('are counted as shared when the kernel says so, and do not keep others from moving', async () => {
    const machine = new FakeMachine();
    const process = machine.add(7).map(0x1000, 8, 1);
    for (const page of [0x1000, 0x1234, 0x1235]) process.shared.add(page);
    expect(await migrate(machine, { target: { pid: 7 } })).toMatchObject({
      movedBytes: 8 * MIB - 3 * 4096,
      failures: [{ reason: 'shared with other processes', errno: 'EACCES', bytes: 3 * 4096 }],
    });
  });

  test('are counted as gone when the process has unmapped them meanwhile', async () => {
    const machine = new FakeMachine();
    const process = machine.add(7).map(0x1000, 8, 1);
    const { movePages } = machine;
    const unmapping: FakeMachine['movePages'] = async (request) => {
      if (request.targetNodeId !== undefined) process.nodeOf.delete(0x1003);
      return movePages(request);
    };
    const job = await migrate(Object.assign(machine, { movePages: unmapping }), { target: { pid: 7 } });
    expect(job.movedBytes).toBe(8 * MIB - 4096);
    expect(job.failures).toEqual([{ reason: 'gone', errno: 'ENOENT', bytes: 4096 }]);
  });
});

describe('a node without room', () => {
  test('takes what fits above its high watermark, and the rest fails', async () => {
    const machine = new FakeMachine();
    machine.freeBytes.set(0, 24 * MIB);
    const process = machine.add(7).map(512 * 8, 64, 1);
    const job = await migrate(machine, { target: { pid: 7 } });
    expect(job).toMatchObject({
      state: 'failed',
      movedBytes: 20 * MIB,
      progress: 20 / 64,
      failures: [{ reason: 'no room on node 0', errno: 'ENOMEM', bytes: 44 * MIB }],
      message: 'no room on node 0: its free memory is down to its high watermark',
    });
    expect(process.bytesOn(0)).toBe(20 * MIB);
    expect(machine.freeBytes.get(0)).toBe(machine.highWatermarkBytes);
  });

  test('is no room when the kernel is out of memory first', async () => {
    const machine = new FakeMachine();
    machine.outOfMemoryFrom = 3;
    machine.add(7).map(512 * 8, 64, 1);
    expect(await migrate(machine, { target: { pid: 7 } })).toMatchObject({
      state: 'failed',
      movedBytes: 32 * MIB,
      failures: [{ reason: 'no room on node 0', errno: 'ENOMEM', bytes: 32 * MIB }],
    });
  });

  test('is no room when it is gone', async () => {
    const machine = new FakeMachine();
    machine.freeBytes.delete(0);
    machine.add(7).map(512 * 8, 4, 1);
    expect(await migrate(machine, { target: { pid: 7 } })).toMatchObject({ state: 'failed', movedBytes: 0 });
  });
});

describe('one process of a cgroup that cannot move', () => {
  test.each<[string, (process: FakeProcess) => void, string, string]>([
    [
      'as its cpuset forbids the node',
      (process) => {
        process.isConfined = true;
      },
      'the cpuset of the process forbids node 0',
      'EACCES',
    ],
    [
      'as its files hold nonsense',
      (process) => {
        process.oddNumaMaps = 'nonsense\n';
      },
      'the process could not be read or moved',
      'EBADMSG',
    ],
  ])('%s is told, and the others move', async (_, spoil, reason, errno) => {
    const machine = new FakeMachine();
    for (let pid = 10; pid < 20; pid++) machine.add(pid, '/app').map(0x1000, 2, 1);
    const bad = machine.processes.get(10);
    if (bad === undefined) throw new Error('no process 10');
    spoil(bad);
    const job = await migrate(machine, { target: { cgroup: '/app' } });
    expect(job).toMatchObject({
      state: 'done',
      movedBytes: 18 * MIB,
      failures: [{ reason, errno }],
      message: `1 of 10 processes did not move: process 10: ${reason} (${errno})`,
    });
    expect(bad.bytesOn(1)).toBe(2 * MIB);
  });

  test('fails the order when it is the only one', async () => {
    const machine = new FakeMachine();
    machine.add(7).map(0x1000, 2, 1).isConfined = true;
    expect(await migrate(machine, { target: { pid: 7 } })).toMatchObject({
      state: 'failed',
      movedBytes: 0,
      failures: [{ errno: 'EACCES', bytes: 2 * MIB }],
    });
  });
});

test.each(['\r', '\u2028', '\u2029', '\ufffd'])('a file name with %j in a mapping hinders no order', async (odd) => {
  const machine = new FakeMachine();
  machine.add(7).map(0x1000, 2, 1).name = `/tmp/a${odd}b`;
  expect(await migrate(machine, { target: { pid: 7 } })).toMatchObject({ state: 'done', movedBytes: 2 * MIB });
});

describe('a process that runs another program half way', () => {
  test('is told, and what the new program has moves too', async () => {
    const machine = new FakeMachine();
    const process = machine.add(7).map(512 * 8, 64, 1);
    machine.afterMove = (nrMoves) => {
      if (nrMoves !== 1) return;
      process.areas.length = 0;
      process.nodeOf.clear();
      process.codeStart += 4096;
      process.map(0x100000, 40, 1);
    };
    const job = await migrate(machine, { target: { pid: 7 } });
    expect(job.failures).toContainEqual(expect.objectContaining({ reason: 'process runs another program now' }));
    expect(job.processes).toEqual({ seen: 2, gone: 1 });
    expect(job.message).toBeDefined();
    expect(process.bytesOn(1)).toBe(0);
    expect(process.bytesOn(0)).toBe(40 * MIB);
  });
});

describe('a process that exits half way', () => {
  const exits: [string, (machine: FakeMachine) => void][] = [
    ['altogether', (machine) => machine.exit(7)],
    [
      'and is not waited for by its parent',
      (machine) => {
        const process = machine.processes.get(7);
        if (process !== undefined) process.isZombie = true;
      },
    ],
    [
      'and another one has its pid at once',
      (machine) => {
        machine.exit(7);
        machine.add(7).map(512 * 8, 64, 1).startTime = 4712;
      },
    ],
  ];

  test.each(exits)('%s ends the migration as done, and its memory is accounted for', async (_name, exit) => {
    const machine = new FakeMachine();
    machine.add(7).map(512 * 8, 64, 1);
    machine.afterMove = (nrMoves) => {
      if (nrMoves === 2) exit(machine);
    };
    const job = await migrate(machine, { target: { pid: 7 } });
    expect(job).toMatchObject({
      state: 'done',
      processes: { seen: 1, gone: 1 },
      message: 'process 7 exited meanwhile',
    });
    expect(job.movedBytes + job.failedBytes).toBe(64 * MIB);
    expect(job.failures).toEqual([{ reason: 'process exited', errno: 'ESRCH', bytes: job.failedBytes }]);
    expect(job.movedBytes).toBeLessThanOrEqual(32 * MIB);
    expect(machine.moves).toHaveLength(2);
  });

  test('while it is waited for in a retry is no error either', async () => {
    const machine = new FakeMachine();
    const process = machine.add(7).map(512 * 8, 8, 1);
    process.busyTimes.set(512 * 8, Number.POSITIVE_INFINITY);
    const { sysfs } = machine;
    let listings = 0;
    // The stat file is read for each listing and each batch; it is gone after the first batch and the second listing.
    const readNow = (path: string) => {
      if (path.endsWith('/stat') && ++listings === 4) machine.exit(7);
      return sysfs.readNow(path);
    };
    const exiting: FakeMachine['sysfs'] = { ...sysfs, readNow, read: async (path) => readNow(path) };
    const job = await migrate(Object.assign(machine, { sysfs: exiting }), { target: { pid: 7 } });
    expect(job).toMatchObject({ state: 'done', processes: { seen: 1, gone: 1 }, failedBytes: 4096 });
    expect(job.failures[0]?.errno).toBe('ESRCH');
  });
});

describe('a cancelled migration', () => {
  test('stops between two batches', async () => {
    const machine = new FakeMachine();
    const process = machine.add(7).map(512 * 8, 64, 1);
    const abort = new AbortController();
    machine.afterMove = (nrMoves) => {
      if (nrMoves === 2) abort.abort();
    };
    const job = await migrate(machine, { target: { pid: 7 } }, abort);
    expect(job).toMatchObject({ state: 'cancelled', movedBytes: 32 * MIB, failedBytes: 0, progress: 0.5 });
    expect(process.bytesOn(0)).toBe(32 * MIB);
    expect(machine.moves).toHaveLength(2);
  });
});

describe('a migration of a cgroup', () => {
  test('moves its processes and those below it, and no others', async () => {
    const machine = new FakeMachine();
    machine.add(7, '/web').map(0x1000, 2, 1);
    machine.add(8, '/web/php/pool').map(0x1000, 3, 1);
    const other = machine.add(9, '/webmail').map(0x1000, 5, 1);
    const job = await migrate(machine, { target: { cgroup: '/web/' } });
    expect(job).toMatchObject({ movedBytes: 5 * MIB, processes: { seen: 2, gone: 0 } });
    expect(other.bytesOn(1)).toBe(5 * MIB);
  });

  test('finds processes that come meanwhile, but does not run after them for ever', async () => {
    const machine = new FakeMachine();
    machine.add(100, '/web').map(0x1000, 1, 1);
    machine.afterMove = () => {
      machine.add(100 + machine.processes.size, '/web').map(0x1000, 1, 1);
    };
    expect(await migrate(machine, { target: { cgroup: '/web' } })).toMatchObject({
      state: 'done',
      movedBytes: 3 * MIB,
      processes: { seen: 3, gone: 0 },
    });
  });

  test('passes over cgroups of threads, whose processes are those above', async () => {
    const machine = new FakeMachine();
    machine.add(7, '/web').map(0x1000, 2, 1);
    machine.cgroups.add('/web/io').add('/web/io/disk');
    machine.threadedCgroups.add('/web/io').add('/web/io/disk');
    expect(await migrate(machine, { target: { cgroup: '/web' } })).toMatchObject({
      state: 'done',
      movedBytes: 2 * MIB,
    });
  });

  test('goes on when one process exits', async () => {
    const machine = new FakeMachine();
    machine.add(7, '/web').map(512 * 8, 32, 1);
    machine.add(8, '/web').map(512 * 8, 4, 1);
    machine.afterMove = () => machine.exit(7);
    const job = await migrate(machine, { target: { cgroup: '/web' } });
    expect(job).toMatchObject({
      state: 'done',
      processes: { seen: 2, gone: 1 },
      message: '1 process exited meanwhile',
    });
    expect(machine.processes.get(8)?.bytesOn(0)).toBe(4 * MIB);
  });
});
