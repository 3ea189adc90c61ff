import { setTimeout as sleep } from 'node:timers/promises';
import { expect, it } from 'vitest';
import type { MigrationBody } from '../../api/views/migration-view.ts';
import type { ApiClient } from './api-client.ts';
import { eventually } from './eventually.ts';
import { fastNode, mib, sampleNow, slowNode } from './scenarios.ts';
import type { Stage } from './stage.ts';

const sizeBytes = 300 * mib;
/** A cgroup. */
const slice = 'tierdjob.slice';
/** A program's own pages, and what moved since its last report. */
const slackBytes = 4 * mib;

/** One-shot migrations beside the engine move_pages, which only watches meanwhile. */
export function migrationTests(stage: () => Stage): void {
  it('moves a process by order at the speed asked for, is cancelled half way, and its cgroup goes on with the rest', async () => {
    const { api, pid } = await placed(stage());
    const order = { from: fastNode, to: slowNode };
    await stage().explain(async () => {
      const first = await api.migrate({ ...order, pid, maxBytesPerSecond: 20 * mib });
      await movedAtLeast(api, first, sizeBytes / 2);
      const cancelled = await api.cancelMigration(first.id);
      expect(cancelled.state).toBe('cancelled');
      expect(cancelled.movedBytes).toBeLessThan(0.8 * sizeBytes);
      expect(cancelled.bytesPerSecond).toBeGreaterThanOrEqual(0.85 * 20 * mib);
      expect(cancelled.bytesPerSecond).toBeLessThanOrEqual(1.15 * 20 * mib);
      await sleep(3000);
      const slowBytes = sizeBytes - sampleNow(stage().workloads).coldFastBytes;
      expect(Math.abs(slowBytes - cancelled.movedBytes)).toBeLessThanOrEqual(slackBytes);
      await sleep(3000);
      expect(sizeBytes - sampleNow(stage().workloads).coldFastBytes).toBe(slowBytes);

      const second = await api.migrate({ ...order, cgroup: `/${slice}`, maxBytesPerSecond: 1024 * mib });
      const done = await ended(api, second);
      console.log(
        `${stage().guest.kernel} migration: ${Math.round(cancelled.movedBytes / mib)} MiB at ${(cancelled.bytesPerSecond / mib).toFixed(1)} MiB/s, cancelled, then ${Math.round(done.movedBytes / mib)} MiB; not moved ${JSON.stringify(done.failures)}`,
      );
      expect(done.state).toBe('done');
      await eventually(
        'all is on the slow node',
        10_000,
        () => sampleNow(stage().workloads).coldFastBytes <= 0.01 * sizeBytes,
      );
    });
  });

  it('a process that exits half way ends its migration without an error', async () => {
    const { api, pid } = await placed(stage());
    await stage().explain(async () => {
      const job = await api.migrate({ pid, from: fastNode, to: slowNode, maxBytesPerSecond: 20 * mib });
      await movedAtLeast(api, job, sizeBytes / 4);
      await stage().clearWorkloads();
      const done = await ended(api, job);
      expect(done).toMatchObject({ state: 'done', processes: { gone: 1 } });
      expect(done.message).toMatch(/exited/);
    });
  });
}

async function placed(stage: Stage): Promise<{ api: ApiClient; pid: number }> {
  const cold = [{ mib: sizeBytes / mib, node: fastNode }];
  const prefix = `systemd-run --quiet --scope --slice=${slice}`;
  const [workload] = await stage.place({
    name: 'migration',
    title: '',
    processes: [{ name: 'migration', cold, prefix }],
  });
  const { api } = await stage.startTierd({ engine: 'move_pages', dryRun: true });
  // A start is work too, and long on an emulated machine: page maps are read, code is compiled.
  await sleep(8_000);
  return { api, pid: workload?.latest.pid ?? 0 };
}

async function movedAtLeast(api: ApiClient, { id }: MigrationBody, bytes: number): Promise<void> {
  await eventually(
    `${Math.round(bytes / mib)} MiB have moved`,
    60_000,
    async () => (await api.migration(id)).movedBytes >= bytes,
  );
}

async function ended(api: ApiClient, { id }: MigrationBody): Promise<MigrationBody> {
  await eventually(
    'the migration ends',
    60_000,
    async () => !['queued', 'running'].includes((await api.migration(id)).state),
  );
  return api.migration(id);
}
