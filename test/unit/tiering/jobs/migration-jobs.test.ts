import { constants } from 'node:os';
import { describe, expect, test } from 'vitest';
import { SyscallError } from '../../../../numa/syscalls/errors.ts';
import type { TieringEvent } from '../../../../tiering/events/event.ts';
import type { JobClock } from '../../../../tiering/jobs/job-clock.ts';
import type { MigrationOrder } from '../../../../tiering/jobs/migration-job.ts';
import type { MigrationJobsOptions } from '../../../../tiering/jobs/migration-jobs.ts';
import { MigrationJobs } from '../../../../tiering/jobs/migration-jobs.ts';
import { FakeMachine, MIB } from './fake-machine.ts';

interface Bench {
  readonly machine: FakeMachine;
  readonly jobs: MigrationJobs;
  readonly log: string[];
  readonly events: TieringEvent[];
}

function bench(options: Partial<MigrationJobsOptions> = {}): Bench {
  const machine = new FakeMachine();
  const log: string[] = [];
  const events: TieringEvent[] = [];
  const tell = (event: TieringEvent) => void events.push(event);
  const note = (_fields: object, message: string) => void log.push(message);
  const logger = { debug: note, info: note, warn: note, error: note };
  const { sysfs, clock } = machine;
  const jobs = new MigrationJobs({
    sysfs,
    clock,
    logger,
    tell,
    loadMovePages: async () => machine.movePages,
    findResident: () => machine.findResident,
    maxCpuShare: () => 1,
    ...options,
  });
  return { machine, jobs, log, events };
}

function order(pid: number, maxBytesPerSecond = 1024 * MIB): MigrationOrder {
  return { target: { pid }, from: [1], to: 0, maxBytesPerSecond };
}

async function ended({ jobs }: Bench, id: number): Promise<void> {
  await expect.poll(() => jobs.get(id)?.state, { interval: 1, timeout: 20_000 }).not.toMatch(/queued|running/);
}

describe('one-shot migrations', () => {
  test('run one at a time, in the order they were asked for', async () => {
    const parts = bench();
    const { machine, jobs } = parts;
    for (const pid of [7, 8, 9]) machine.add(pid).map(512 * 8, 32, 1);
    const created = [await jobs.create(order(7)), await jobs.create(order(8)), await jobs.create(order(9))];
    expect(created.map(({ id, state }) => [id, state])).toEqual([
      [1, 'queued'],
      [2, 'queued'],
      [3, 'queued'],
    ]);
    await ended(parts, 3);
    expect(machine.moves.map(({ pid }) => pid)).toEqual([7, 7, 8, 8, 9, 9]);
    expect(jobs.list().map(({ id, state, movedBytes }) => [id, state, movedBytes])).toEqual([
      [1, 'done', 32 * MIB],
      [2, 'done', 32 * MIB],
      [3, 'done', 32 * MIB],
    ]);
    const of1 = { type: 'migration', migrationId: 1, failedBytes: 0 };
    expect(parts.events.slice(0, 2)).toEqual([
      { ...of1, state: 'running', movedBytes: 0, message: 'migration 1 starts: process 7, from node 1 to node 0' },
      { ...of1, state: 'done', movedBytes: 32 * MIB, message: `migration 1 done: ${32 * MIB} bytes moved, 0 failed` },
    ]);
  });

  test('that take long let the next ones begin beside them', async () => {
    // Who waits for its pace waits until it is stopped.
    const waits = new FakeMachine();
    const clock: JobClock = {
      ...waits.clock,
      sleep: (_ms, signal) => new Promise((resolve) => signal.addEventListener('abort', () => resolve())),
    };
    const parts = bench({ clock, aloneMs: 1 });
    const { machine, jobs } = parts;
    for (const pid of [7, 8]) machine.add(pid).map(512 * 8, 2, 1);
    machine.processes.get(7)?.map(512 * 16, 32, 1);
    await jobs.create(order(7, MIB));
    await jobs.create(order(8));
    await ended(parts, 2);
    expect(jobs.list()).toMatchObject([
      { state: 'running', movedBytes: 2 * MIB },
      { state: 'done', movedBytes: 2 * MIB },
    ]);
    await jobs.stop();
    expect(jobs.get(1)).toMatchObject({ state: 'cancelled' });
  });

  test('all together wait for the processor once they have used their share', async () => {
    const machine = new FakeMachine();
    let cpuMs = 0;
    // Every look at the clock costs a millisecond, and the share is a hundredth.
    const clock: JobClock = { ...machine.clock, cpuMs: () => cpuMs++ };
    const parts = bench({ clock, maxCpuShare: () => 0.01 });
    for (const pid of [7, 8]) parts.machine.add(pid).map(512 * 8, 32, 1);
    await parts.jobs.create(order(7));
    await parts.jobs.create(order(8));
    await ended(parts, 2);
    expect(parts.jobs.list()).toMatchObject([{ movedBytes: 32 * MIB }, { movedBytes: 32 * MIB }]);
    expect(machine.nowMs).toBeGreaterThan(cpuMs / 0.01 / 2);
  });

  test('show how far they are', async () => {
    const parts = bench();
    parts.machine.add(7).map(512 * 8, 64, 1);
    const seen: unknown[] = [];
    parts.machine.afterMove = () => {
      const job = parts.jobs.get(1);
      seen.push([job?.state, job?.progress, job?.message]);
    };
    await parts.jobs.create(order(7));
    await ended(parts, 1);
    const message = 'moving memory of process 7';
    expect(seen).toEqual([0, 0.25, 0.5, 0.75].map((progress) => ['running', progress, message]));
    expect(parts.jobs.get(1)).toMatchObject({ state: 'done', progress: 1 });
  });

  test('stop between two batches when cancelled, and the next one begins', async () => {
    const parts = bench();
    const { machine, jobs } = parts;
    machine.add(7).map(512 * 8, 320, 1);
    machine.add(8).map(512 * 8, 4, 1);
    await jobs.create(order(7));
    await jobs.create(order(8));
    const cancelled = new Promise((resolve) => {
      machine.afterMove = (nrMoves) => {
        if (nrMoves === 3) resolve(Promise.all([jobs.cancel(1), jobs.cancel(1)]));
      };
    });
    expect(await cancelled).toMatchObject([
      { state: 'cancelled', movedBytes: 48 * MIB },
      { state: 'cancelled', movedBytes: 48 * MIB },
    ]);
    expect(machine.processes.get(7)?.bytesOn(0)).toBe(48 * MIB);
    await ended(parts, 2);
    expect(jobs.list().map(({ state }) => state)).toEqual(['cancelled', 'done']);
  });

  test('are cancelled at once while they wait', async () => {
    const parts = bench();
    const { machine, jobs } = parts;
    for (const pid of [7, 8]) machine.add(pid).map(512 * 8, 32, 1);
    await jobs.create(order(7));
    await jobs.create(order(8));
    const job = await jobs.cancel(2);
    expect(job).toMatchObject({ state: 'cancelled', message: 'cancelled before it began', movedBytes: 0 });
    expect(job).not.toHaveProperty('startedAt');
    await ended(parts, 1);
    expect(machine.processes.get(8)?.bytesOn(0)).toBe(0);
  });

  test('leave the list when they are deleted after their end', async () => {
    const parts = bench();
    parts.machine.add(7).map(512 * 8, 1, 1);
    await parts.jobs.create(order(7));
    await ended(parts, 1);
    expect(await parts.jobs.cancel(1)).toMatchObject({ id: 1, state: 'done' });
    expect(parts.jobs.list()).toEqual([]);
    expect(await parts.jobs.cancel(1)).toBeUndefined();
    expect(parts.jobs.get(1)).toBeUndefined();
  });

  test('all stop with the daemon', async () => {
    const parts = bench();
    const { machine, jobs } = parts;
    for (const pid of [7, 8]) machine.add(pid).map(512 * 8, 320, 1);
    await jobs.create(order(7));
    await jobs.create(order(8));
    await new Promise<void>((resolve) => {
      machine.afterMove = () => resolve();
    });
    await jobs.stop();
    const moves = machine.moves.length;
    expect(jobs.list().map(({ state }) => state)).toEqual(['cancelled', 'cancelled']);
    const { id } = await jobs.create(order(8));
    await ended(parts, id);
    expect(jobs.get(id)).toMatchObject({ state: 'cancelled', movedBytes: 0 });
    expect(machine.moves).toHaveLength(moves);
  });

  test('fail in words when the kernel refuses, and the next one begins', async () => {
    const parts = bench();
    const { machine, jobs } = parts;
    for (const pid of [7, 8]) machine.add(pid).map(512 * 8, 1, 1);
    machine.afterMove = (nrMoves) => {
      if (nrMoves === 1) throw new SyscallError('move_pages', 'pid 7', constants.errno.ENODEV);
    };
    await jobs.create(order(7));
    await jobs.create(order(8));
    await ended(parts, 2);
    expect(jobs.list()).toMatchObject([{ state: 'failed', message: 'move_pages(pid 7): ENODEV' }, { state: 'done' }]);
    expect(parts.log).toContain('migration 1 failed');
  });

  test('do not touch another process that has got the pid meanwhile', async () => {
    const parts = bench();
    const { machine, jobs } = parts;
    for (const pid of [7, 8]) machine.add(pid).map(512 * 8, 16, 1);
    await jobs.create(order(7));
    await jobs.create(order(8));
    machine.afterMove = () => {
      machine.add(8).map(512 * 8, 16, 1).startTime = 4712;
    };
    await ended(parts, 2);
    expect(jobs.get(2)).toMatchObject({
      state: 'done',
      movedBytes: 0,
      message: 'process 8 had exited before its turn',
    });
    expect(machine.processes.get(8)?.bytesOn(1)).toBe(16 * MIB);
  });

  test('are remembered up to a number', async () => {
    const parts = bench();
    parts.machine.add(7).map(512 * 8, 1, 0);
    for (let count = 0; count < 103; count++) {
      const { id } = await parts.jobs.create(order(7));
      await ended(parts, id);
    }
    const ids = parts.jobs.list().map(({ id }) => id);
    expect([ids.length, ids[0], ids.at(-1)]).toEqual([100, 4, 103]);
  });

  test('wait up to a number', async () => {
    const { machine, jobs } = bench();
    machine.add(7).map(512 * 8, 320, 1);
    // The first one runs, slowly.
    await jobs.create(order(7, MIB));
    for (let count = 0; count < 100; count++) await jobs.create(order(7));
    await expect(jobs.create(order(7))).rejects.toMatchObject({ code: 'TIERD_MIGRATION_QUEUE_FULL' });
    await jobs.cancel(2);
    expect(await jobs.create(order(7))).toMatchObject({ state: 'queued' });
    await jobs.stop();
  });
});

describe('a target that is not there is refused', () => {
  test('when no process has the pid', async () => {
    const { jobs } = bench();
    await expect(jobs.create(order(99))).rejects.toMatchObject({
      code: 'TIERD_MIGRATION_INVALID',
      message: 'pid: there is no 99: must be the id of a process that runs and has memory',
    });
    expect(jobs.list()).toEqual([]);
  });

  test('when there is no such cgroup, with those that there are', async () => {
    const { machine, jobs } = bench();
    for (const cgroup of ['/web', '/web/php', '/web/nginx', '/db']) machine.cgroups.add(cgroup);
    const refused = (cgroup: string) =>
      expect(jobs.create({ ...order(1), target: { cgroup } })).rejects.toMatchObject({
        key: 'cgroup',
        value: cgroup,
        allowed: expect.stringContaining('the path of a cgroup, without the cgroup mount'),
      });
    await refused('/nothing');
    const allowed = async (cgroup: string): Promise<unknown> =>
      jobs.create({ ...order(1), target: { cgroup } }).catch((error: unknown) => error);
    expect(await allowed('/wob')).toMatchObject({ message: expect.stringContaining('such as /db, /web') });
    expect(await allowed('/web/php7/pool')).toMatchObject({
      message: expect.stringContaining('such as /web/nginx, /web/php'),
    });
    expect(await allowed('/db/x')).toMatchObject({ message: expect.stringContaining('such as /db') });
  });
});
