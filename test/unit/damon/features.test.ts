import { fileURLToPath } from 'node:url';
import { describe, expect, test } from 'vitest';
import { HostSysFs } from '../../../numa/sysfs.ts';
import { maskFeatures, probeFeatures, requireMigration } from '../../../tiering/damon/features.ts';
import { FakeDamon } from './fake-damon.ts';

function recorded(kernel: string): HostSysFs {
  return new HostSysFs(fileURLToPath(new URL(`../../fixtures/${kernel}`, import.meta.url)));
}

describe('probing in a scratch directory', () => {
  test('finds what Linux 6.12 can do', async () => {
    const features = await probeFeatures(new FakeDamon('6.12'), { scratchAllowed: true });
    expect(features).toMatchObject({
      complete: true,
      migrateActions: true,
      youngFilter: true,
      memcgFilter: true,
      filters: true,
      applyInterval: true,
      allowFilters: false,
      splitFilters: false,
      addrUnit: false,
      effectiveBytes: true,
      commitsTargetNid: false,
      triedRegions: true,
      goalMetrics: ['user_input', 'some_mem_psi_us'],
      traceEvents: ['damon_aggregated', 'damos_before_apply'],
      damonStat: false,
    });
  });

  test('finds what Linux 7.3 can do', async () => {
    const features = await probeFeatures(new FakeDamon('7.3'), { scratchAllowed: true });
    expect(features).toMatchObject({
      migrateActions: true,
      allowFilters: true,
      splitFilters: true,
      addrUnit: true,
      commitsTargetNid: true,
      goalTuners: ['consist', 'temporal'],
      damonStat: true,
    });
    expect(features.goalMetrics).toContain('node_mem_used_bp');
    expect(features.filterTypes).toEqual(
      expect.arrayContaining(['anon', 'memcg', 'young', 'unmapped', 'addr', 'target']),
    );
  });

  test('leaves directories and settings of others as they were', async () => {
    const damon = new FakeDamon('7.3');
    const root = '/sys/kernel/mm/damon/admin/kdamonds';
    await damon.write(`${root}/nr_kdamonds`, '2');
    await damon.write(`${root}/1/contexts/nr_contexts`, '1');
    await damon.write(`${root}/1/contexts/0/schemes/nr_schemes`, '1');
    await damon.write(`${root}/1/contexts/0/schemes/0/action`, 'pageout');
    const before = damon.tree();
    await probeFeatures(damon, { scratchAllowed: true });
    expect(damon.tree()).toEqual(before);
  });
});

describe('probing without a scratch directory', () => {
  test.each([
    ['6.12-damon', { splitFilters: false, allowFilters: false, addrUnit: false }],
    ['7.3-damon', { splitFilters: true, allowFilters: true, addrUnit: true }],
  ])('concludes from the files of a tree recorded on %s', async (kernel, expected) => {
    const features = await probeFeatures(recorded(kernel), { scratchAllowed: false });
    expect(features).toMatchObject({ ...expected, complete: false, migrateActions: true, youngFilter: true });
  });

  test('writes nothing', async () => {
    const damon = new FakeDamon('7.3');
    const features = await probeFeatures(damon, { scratchAllowed: false });
    expect(damon.writes).toEqual([]);
    expect(features.complete).toBe(false);
  });
});

test('tried_regions can be hidden by name, as on a kernel before 6.2', async () => {
  const features = await probeFeatures(new FakeDamon('7.3'), { scratchAllowed: true, mask: ['triedRegions'] });
  expect(features.triedRegions).toBe(false);
  expect(features.traceEvents).toContain('damon_aggregated');
});

describe('a kernel that cannot do it', () => {
  test('without DAMON sysfs is refused with what it needs', async () => {
    const damon = new FakeDamon('6.12');
    damon.files.clear();
    await expect(probeFeatures(damon, { scratchAllowed: true })).rejects.toMatchObject({
      code: 'TIERD_DAMON_UNAVAILABLE',
      message: expect.stringMatching(/CONFIG_DAMON_SYSFS.*5\.18/),
    });
  });

  test('without migrate actions is refused with the actions it has', async () => {
    const features = await probeFeatures(new FakeDamon('6.12'), {
      scratchAllowed: true,
      mask: ['migrate_hot', 'migrate_cold'],
    });
    expect(features.migrateActions).toBe(false);
    expect(() => requireMigration(features)).toThrow(
      /needs migrate_hot and migrate_cold \(Linux 6\.11\).*pageout.*stat/,
    );
  });
});

test('a mask hides features, filters, metrics and trace events by name', async () => {
  const features = await probeFeatures(new FakeDamon('7.3'), { scratchAllowed: true });
  const masked = maskFeatures(features, ['splitFilters', 'applyInterval', 'young', 'node_mem_used_bp', 'damos_esz']);
  expect(masked.applyInterval).toBe(false);
  expect(masked.splitFilters).toBe(false);
  expect(masked.youngFilter).toBe(false);
  expect(masked.goalMetrics).not.toContain('node_mem_used_bp');
  expect(masked.traceEvents).not.toContain('damos_esz');
  expect(masked.memcgFilter).toBe(true);
});
