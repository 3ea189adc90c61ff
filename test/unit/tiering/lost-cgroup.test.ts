import { mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, expect, test } from 'vitest';
import { POLICY, RunningEngine } from './running-engine.ts';

/** Cgroups are looked at every 5 s. */
const POLL = { timeout: 30_000, interval: 50 };
const SCHEME = '1/contexts/0/schemes/0';
const MOUNT = '/sys/fs/cgroup';

let engine: RunningEngine;
afterEach(() => engine.stop());

function folderOf(cgroup: string): string {
  return join(engine.kernel.root, MOUNT, cgroup);
}

function addCgroup(cgroup: string): void {
  mkdirSync(folderOf(cgroup), { recursive: true });
  writeFileSync(join(folderOf(cgroup), 'cgroup.procs'), '');
}

const filter = () => engine.kernel.damon.value(`${SCHEME}/ops_filters/0/memcg_path`);
const quotaBytes = () => Number(engine.kernel.damon.value(`${SCHEME}/quotas/bytes`));

test('when the only included cgroup goes nothing moves any more, which is told, and when it comes back it goes on', async () => {
  engine = await RunningEngine.start();
  const { runtime } = engine;
  addCgroup('/app');
  writeFileSync(join(engine.kernel.root, MOUNT, 'cgroup.controllers'), 'memory');
  await runtime.setPolicy({ ...POLICY, cgroups: { include: ['/app'], exclude: [] } });
  await expect.poll(() => [runtime.status().state, filter(), quotaBytes() > 1], POLL).toEqual(['moving', '/app', true]);
  expect(runtime.status()).not.toHaveProperty('scopeProblem');

  rmSync(folderOf('/app'), { recursive: true });
  await expect.poll(quotaBytes, POLL).toBe(1);
  expect(filter()).toBeUndefined();
  await expect.poll(() => runtime.status().state, POLL).toBe('settled');
  expect(runtime.status().scopeProblem).toContain('"/app"');
  expect(await runtime.diagnose()).toContainEqual(expect.objectContaining({ id: 'cgroup-scope', severity: 'warning' }));
  expect(engine.happened()).toContainEqual(expect.objectContaining({ message: expect.stringContaining('"/app"') }));

  addCgroup('/app');
  await expect.poll(() => [runtime.status().state, filter()], POLL).toEqual(['moving', '/app']);
  expect(runtime.status()).not.toHaveProperty('scopeProblem');
});

test('what a policy would leave unmatched is told before', async () => {
  engine = await RunningEngine.start();
  const { scopeProblem, after } = await engine.runtime.preview({
    ...POLICY,
    cgroups: { include: ['/x'], exclude: [] },
  });
  expect(scopeProblem).toContain('version 2');
  expect(after.flatMap(({ schemes }) => schemes.map(({ quota }) => quota.bytes))).toEqual([1, 1, 1, 1]);
});
