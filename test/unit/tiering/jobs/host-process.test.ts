import type { ChildProcess } from 'node:child_process';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { expect, onTestFinished, test } from 'vitest';
import { readPageSize } from '../../../../numa/node-memory.ts';
import { hostMovePages } from '../../../../numa/syscalls/move-pages.ts';
import { HostSysFs } from '../../../../numa/sysfs.ts';
import { HOST_CLOCK } from '../../../../tiering/jobs/job-clock.ts';
import { JobRecord } from '../../../../tiering/jobs/job-record.ts';
import { runMigration } from '../../../../tiering/jobs/migration-run.ts';
import type { PageRun } from '../../../../tiering/jobs/page-batches.ts';
import { pageBatches } from '../../../../tiering/jobs/page-batches.ts';
import { readProcessMemory } from '../../../../tiering/jobs/process-memory.ts';
import type { MigrationEffects } from '../../../../tiering/jobs/process-mover.ts';
import { hostResident, residentRuns } from '../../../../tiering/jobs/resident-runs.ts';
import { requireTarget } from '../../../../tiering/jobs/target-processes.ts';
import { Serial } from '../../../../tiering/serial.ts';
import { startSparseProcess } from '../../numa/sparse-process.ts';
import { MIB } from './fake-machine.ts';

const sysfs = new HostSysFs();
/** Larger than any that Linux can have. */
const NO_NODE = 1023;

/** A process that holds 64 MiB and does nothing. */
async function holdMemory(): Promise<ChildProcess & { readonly pid: number }> {
  const script = "globalThis.held = Buffer.alloc(64 * 2 ** 20, 1); console.log('ready'); setInterval(() => {}, 1e6)";
  const child = spawn(process.execPath, ['-e', script], { stdio: ['ignore', 'pipe', 'inherit'] });
  onTestFinished(() => void child.kill('SIGKILL'));
  if (child.stdout !== null) await once(child.stdout, 'data');
  const { pid } = child;
  if (pid === undefined) throw new Error('no process');
  return Object.assign(child, { pid });
}

async function hostEffects(): Promise<MigrationEffects> {
  const pageBytes = await readPageSize(sysfs);
  return {
    sysfs,
    movePages: await hostMovePages(),
    clock: HOST_CLOCK,
    pageBytes,
    findResident: hostResident(sysfs, pageBytes),
    pause: async () => undefined,
    steps: new Serial(),
  };
}

async function nodeIds(): Promise<number[]> {
  const names = await sysfs.directories('/sys/devices/system/node');
  return names.flatMap((name) => /^node(\d+)$/.exec(name)?.[1] ?? []).map(Number);
}

test('the memory of a real process is found where the kernel says it is', async () => {
  const { pid } = await holdMemory();
  const nodes = new Set(await nodeIds());
  const { runs, bytes } = await readProcessMemory(sysfs, pid, nodes, await readPageSize(sysfs));
  expect(bytes).toBeGreaterThan(64 * MIB);
  const movePages = await hostMovePages();
  let foundBytes = 0;
  for await (const { pages, pageBytes } of pageBatches(runs, 4096)) {
    const placement = await movePages({ pid, pages });
    foundBytes += placement.filter((node) => nodes.has(node)).length * pageBytes;
  }
  // The zero page is on no node for one and on a node for the other; a runtime's threads may allocate in between.
  expect(Math.abs(foundBytes - bytes)).toBeLessThan(4 * MIB);
});

test('a real process is not moved to a node that is not there', async () => {
  const { pid } = await holdMemory();
  const order = { target: { pid }, from: await nodeIds(), to: NO_NODE, maxBytesPerSecond: 1024 * MIB };
  const record = new JobRecord(1, order, HOST_CLOCK.now());
  const effects = await hostEffects();
  const end = await runMigration(record, effects, new AbortController().signal);
  expect(end).toMatchObject({ state: 'failed', message: expect.stringContaining(`no room on node ${NO_NODE}`) });
  expect(record.movedBytes).toBe(0);
  expect(record.totalBytes).toBeGreaterThan(64 * MIB);
});

test('a real process that was killed is a migration that is done', async () => {
  const child = await holdMemory();
  const target = { pid: child.pid };
  const only = await requireTarget(sysfs, target);
  child.kill('SIGKILL');
  await once(child, 'exit');
  const order = { target, from: await nodeIds(), to: NO_NODE, maxBytesPerSecond: 1024 * MIB };
  const record = new JobRecord(1, order, HOST_CLOCK.now());
  const effects = await hostEffects();
  expect(await runMigration(record, effects, new AbortController().signal, only)).toEqual({
    state: 'done',
    message: `process ${child.pid} had exited before its turn`,
  });
  await expect(requireTarget(sysfs, target)).rejects.toMatchObject({ code: 'TIERD_MIGRATION_INVALID', key: 'pid' });
});

test('of a real process that has reserved a terabyte and uses little of it, that little is found at once', async () => {
  const gib = 1024 * MIB;
  const { pid } = await startSparseProcess(1024 * gib, [0, 512 * gib, 1024 * gib - 4096]);
  const order = { target: { pid }, from: await nodeIds(), to: NO_NODE, maxBytesPerSecond: 1024 * MIB };
  const effects = await hostEffects();
  const { runs } = await readProcessMemory(sysfs, pid, new Set(order.from), effects.pageBytes);
  const area = runs.filter(({ startPage, endPage }) => (endPage - startPage) * 4096 >= 1024 * gib);
  expect(area).toMatchObject([{ residentBytes: 3 * 4096 }]);
  const startedMs = performance.now();
  const found: PageRun[] = [];
  for await (const run of residentRuns(pid, area, effects.findResident, async () => true)) found.push(run);
  const offsets = found.map(({ startPage }) => (startPage - (area[0]?.startPage ?? 0)) * 4096);
  expect(offsets).toEqual([0, 512 * gib, 1024 * gib - 4096]);
  // To ask move_pages(2) for every page takes over a minute, to read the page map some seconds: all there is before Linux 6.7.
  expect(performance.now() - startedMs).toBeLessThan(20_000);
});
