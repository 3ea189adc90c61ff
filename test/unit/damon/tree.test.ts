import { describe, expect, test } from 'vitest';
import type { FileWrite } from '../../../tiering/damon/tree.ts';
import { initialRegions, kdamondChanges, kdamondWrites, pendingWrites } from '../../../tiering/damon/tree.ts';
import { kdamond, scheme, withBudget } from './desired.ts';

const LINUX_5_18 = {
  filters: false,
  applyInterval: false,
  splitFilters: false,
  allowFilters: false,
  goalTuners: [],
  maxPasses: false,
};
const LINUX_6_12 = {
  filters: true,
  applyInterval: true,
  splitFilters: false,
  allowFilters: false,
  goalTuners: [],
  maxPasses: false,
};
const LINUX_7_3 = {
  filters: true,
  applyInterval: true,
  splitFilters: true,
  allowFilters: true,
  goalTuners: ['consist', 'temporal'],
  maxPasses: true,
};

function lines(writes: readonly FileWrite[]): readonly string[] {
  return writes.map(({ path, value }) => `${path}=${value}`);
}

describe('the files of a kdamond', () => {
  test('are written parents first', () => {
    expect(lines(kdamondWrites(3, kdamond(0), LINUX_6_12))).toEqual([
      '3/contexts/nr_contexts=1',
      '3/contexts/0/operations=paddr',
      '3/contexts/0/monitoring_attrs/intervals/sample_us=50000',
      '3/contexts/0/monitoring_attrs/intervals/aggr_us=1000000',
      '3/contexts/0/monitoring_attrs/intervals/update_us=10000000',
      '3/contexts/0/monitoring_attrs/nr_regions/min=4',
      '3/contexts/0/monitoring_attrs/nr_regions/max=16',
      '3/contexts/0/targets/nr_targets=1',
      '3/contexts/0/targets/0/regions/nr_regions=1',
      '3/contexts/0/targets/0/regions/0/start=0',
      '3/contexts/0/targets/0/regions/0/end=67108864',
      '3/contexts/0/schemes/nr_schemes=1',
      '3/contexts/0/schemes/0/action=migrate_cold',
      '3/contexts/0/schemes/0/target_nid=1',
      '3/contexts/0/schemes/0/apply_interval_us=0',
      '3/contexts/0/schemes/0/access_pattern/sz/min=4096',
      '3/contexts/0/schemes/0/access_pattern/sz/max=18446744073709551615',
      '3/contexts/0/schemes/0/access_pattern/nr_accesses/min=0',
      '3/contexts/0/schemes/0/access_pattern/nr_accesses/max=2',
      '3/contexts/0/schemes/0/access_pattern/age/min=30',
      '3/contexts/0/schemes/0/access_pattern/age/max=4294967295',
      '3/contexts/0/schemes/0/quotas/ms=0',
      '3/contexts/0/schemes/0/quotas/bytes=52428800',
      '3/contexts/0/schemes/0/quotas/reset_interval_ms=1',
      '3/contexts/0/schemes/0/quotas/weights/sz_permil=0',
      '3/contexts/0/schemes/0/quotas/weights/nr_accesses_permil=700',
      '3/contexts/0/schemes/0/quotas/weights/age_permil=300',
      '3/contexts/0/schemes/0/filters/nr_filters=1',
      '3/contexts/0/schemes/0/filters/0/type=young',
      '3/contexts/0/schemes/0/filters/0/matching=Y',
    ]);
  });

  test('put filters where split filters want them, with `allow` where there is one', () => {
    const filters = [{ type: 'memcg', memcgPath: '/a', matching: true, allow: true }] as const;
    const writes = lines(kdamondWrites(0, kdamond(0, { schemes: [scheme({ filters })] }), LINUX_7_3));
    expect(writes.slice(-5)).toEqual([
      '0/contexts/0/schemes/0/ops_filters/nr_filters=1',
      '0/contexts/0/schemes/0/ops_filters/0/type=memcg',
      '0/contexts/0/schemes/0/ops_filters/0/memcg_path=/a',
      '0/contexts/0/schemes/0/ops_filters/0/matching=Y',
      '0/contexts/0/schemes/0/ops_filters/0/allow=Y',
    ]);
  });

  test('hold a goal and what it is compared with, out of the reach of the scheme', () => {
    const compared = { start: 2 ** 40, end: 2 ** 41 };
    const limited = scheme({
      quota: { ...scheme().quota, goal: { metric: 'node_eligible_mem_bp', nodeId: 0, targetBp: 5500 } },
      filters: [
        { type: 'addr', range: compared, matching: true, allow: false },
        { type: 'young', matching: true, allow: false },
      ],
    });
    const writes = lines(kdamondWrites(0, kdamond(0, { comparedRanges: [compared], schemes: [limited] }), LINUX_7_3));
    expect(writes.filter((line) => /regions|goal|filters/.test(line))).toEqual([
      '0/contexts/0/monitoring_attrs/nr_regions/min=4',
      '0/contexts/0/monitoring_attrs/nr_regions/max=16',
      '0/contexts/0/targets/0/regions/nr_regions=2',
      '0/contexts/0/targets/0/regions/0/start=0',
      '0/contexts/0/targets/0/regions/0/end=67108864',
      '0/contexts/0/targets/0/regions/1/start=1099511627776',
      '0/contexts/0/targets/0/regions/1/end=2199023255552',
      '0/contexts/0/schemes/0/quotas/goals/nr_goals=1',
      '0/contexts/0/schemes/0/quotas/goals/0/target_metric=node_eligible_mem_bp',
      '0/contexts/0/schemes/0/quotas/goals/0/nid=0',
      '0/contexts/0/schemes/0/quotas/goals/0/target_value=5500',
      '0/contexts/0/schemes/0/quotas/goal_tuner=temporal',
      '0/contexts/0/schemes/0/core_filters/nr_filters=1',
      '0/contexts/0/schemes/0/core_filters/0/type=addr',
      '0/contexts/0/schemes/0/core_filters/0/addr_start=1099511627776',
      '0/contexts/0/schemes/0/core_filters/0/addr_end=2199023255552',
      '0/contexts/0/schemes/0/core_filters/0/matching=Y',
      '0/contexts/0/schemes/0/core_filters/0/allow=N',
      '0/contexts/0/schemes/0/ops_filters/nr_filters=1',
      '0/contexts/0/schemes/0/ops_filters/0/type=young',
      '0/contexts/0/schemes/0/ops_filters/0/matching=Y',
      '0/contexts/0/schemes/0/ops_filters/0/allow=N',
    ]);
    expect(() => kdamondWrites(0, kdamond(0, { schemes: [limited] }), LINUX_6_12)).toThrow(/temporal.*7\.1/);
  });

  test('take a goal away again', () => {
    const goal = { metric: 'node_eligible_mem_bp', nodeId: 0, targetBp: 5500 } as const;
    const limited = scheme({ quota: { ...scheme().quota, goal } });
    const changes = kdamondChanges(0, kdamond(0, { schemes: [limited] }), kdamond(0), LINUX_7_3);
    expect(lines(changes)).toEqual(['0/contexts/0/schemes/0/quotas/goals/nr_goals=0']);
  });

  test('leave out what came after Linux 5.18, and cannot do without it when it is needed', () => {
    const watching = kdamond(0, { schemes: [scheme({ action: 'stat', filters: [] })] });
    expect(lines(kdamondWrites(0, watching, LINUX_5_18)).filter((line) => /apply_interval|filter/.test(line))).toEqual(
      [],
    );
    const young = scheme({ filters: [{ type: 'young', matching: true, allow: false }] });
    expect(() => kdamondWrites(0, kdamond(0, { schemes: [young] }), LINUX_5_18)).toThrow(
      /needs filters \(Linux 6\.3\)/,
    );
  });

  test('cannot say that a filter allows where filters only reject', () => {
    const desired = kdamond(0, { schemes: [scheme({ filters: [{ type: 'young', matching: true, allow: true }] })] });
    expect(() => kdamondWrites(0, desired, LINUX_6_12)).toThrow(/allow.*6\.14/);
  });

  test('hold the greatest numbers that the kernel takes where there is no bound', () => {
    const unbounded = { min: 0, max: Number.MAX_SAFE_INTEGER };
    const pattern = { sizeBytes: unbounded, nrAccesses: unbounded, age: { min: 0, max: 2 ** 40 } };
    const writes = lines(kdamondWrites(0, kdamond(0, { schemes: [scheme({ pattern })] }), LINUX_6_12));
    expect(writes).toContain('0/contexts/0/schemes/0/access_pattern/sz/max=18446744073709551615');
    expect(writes).toContain('0/contexts/0/schemes/0/access_pattern/nr_accesses/max=4294967295');
    expect(writes).toContain('0/contexts/0/schemes/0/access_pattern/age/max=4294967295');
  });

  test('take whole numbers only, bounds are narrowed to them', () => {
    expect(() => kdamondWrites(0, kdamond(0, { samplingIntervalUs: 0.5 }), LINUX_6_12)).toThrow(RangeError);
    const pattern = { ...scheme().pattern, nrAccesses: { min: 1.2, max: 3.8 } };
    const writes = lines(kdamondWrites(0, kdamond(0, { schemes: [scheme({ pattern })] }), LINUX_6_12));
    expect(writes).toContain('0/contexts/0/schemes/0/access_pattern/nr_accesses/min=2');
    expect(writes).toContain('0/contexts/0/schemes/0/access_pattern/nr_accesses/max=3');
  });

  test('need a target for a migration', () => {
    const { targetNid: _, ...rest } = scheme();
    expect(() => kdamondWrites(0, kdamond(0, { schemes: [rest] }), LINUX_6_12)).toThrow(/needs a target node/);
  });
});

describe('a change', () => {
  test('of nothing writes nothing', () => {
    expect(kdamondChanges(0, kdamond(0), kdamond(0), LINUX_7_3)).toEqual([]);
  });

  test('of a budget writes one file', () => {
    const to = kdamond(0, { schemes: [withBudget(scheme(), 4096)] });
    expect(lines(kdamondChanges(0, kdamond(0), to, LINUX_7_3))).toEqual(['0/contexts/0/schemes/0/quotas/bytes=4096']);
  });

  test('of an interval leaves regions and schemes alone', () => {
    const to = kdamond(0, { samplingIntervalUs: 100_000 });
    expect(lines(kdamondChanges(0, kdamond(0), to, LINUX_7_3))).toEqual([
      '0/contexts/0/monitoring_attrs/intervals/sample_us=100000',
    ]);
  });

  test('of the number of filters writes the filters again, and nothing else of the scheme', () => {
    const filters = [...scheme().filters, { type: 'memcg', memcgPath: '/b', matching: true, allow: false }] as const;
    const to = kdamond(0, { schemes: [scheme({ filters })] });
    expect(lines(kdamondChanges(0, kdamond(0), to, LINUX_6_12))).toEqual([
      '0/contexts/0/schemes/0/filters/nr_filters=2',
      '0/contexts/0/schemes/0/filters/0/type=young',
      '0/contexts/0/schemes/0/filters/0/matching=Y',
      '0/contexts/0/schemes/0/filters/1/type=memcg',
      '0/contexts/0/schemes/0/filters/1/memcg_path=/b',
      '0/contexts/0/schemes/0/filters/1/matching=Y',
    ]);
  });

  test('of the number of schemes writes every scheme again, as nr_schemes empties them', () => {
    const to = kdamond(0, { schemes: [scheme(), scheme({ name: 'second' })] });
    const writes = lines(kdamondChanges(0, kdamond(0), to, LINUX_7_3));
    expect(writes[0]).toBe('0/contexts/0/schemes/nr_schemes=2');
    expect(writes).toContain('0/contexts/0/schemes/0/action=migrate_cold');
    expect(writes).toContain('0/contexts/0/schemes/1/action=migrate_cold');
    expect(writes.every((line) => line.includes('/schemes/'))).toBe(true);
  });

  test('of one range writes its bounds only', () => {
    const to = kdamond(0, { ranges: [{ start: 0, end: 32 * 1024 * 1024 }] });
    expect(lines(kdamondChanges(0, kdamond(0), to, LINUX_7_3))).toEqual([
      '0/contexts/0/targets/0/regions/0/end=33554432',
    ]);
  });

  test('counts from what the files hold: what is missing is written', () => {
    expect(pendingWrites(new Map(), kdamondWrites(0, kdamond(0), LINUX_7_3))).toEqual(
      kdamondWrites(0, kdamond(0), LINUX_7_3),
    );
  });
});

describe('initial regions', () => {
  const MIB = 1024 * 1024;

  test('cover the ranges without holes and overlaps, about as many as asked for', () => {
    const ranges = [
      { start: 0x9f000, end: 100 * MIB + 0x3000 },
      { start: 4096 * MIB, end: 5096 * MIB },
    ];
    const regions = initialRegions(ranges, 100);
    expect(regions.length).toBeGreaterThan(80);
    expect(regions.length).toBeLessThan(130);
    const covered = regions.reduce<{ start: number; end: number }[]>((merged, region) => {
      const last = merged.at(-1);
      if (last?.end === region.start) last.end = region.end;
      else merged.push({ ...region });
      return merged;
    }, []);
    expect(covered).toEqual(ranges);
  });

  test('are cut between huge pages where they are large', () => {
    const regions = initialRegions([{ start: 4096, end: 1024 * MIB }], 10);
    expect(regions.slice(1).every((region) => region.start % (2 * MIB) === 0)).toBe(true);
  });

  test('are some hundreds at most, as each costs a folder and two writes', () => {
    expect(initialRegions([{ start: 0, end: 2 ** 40 }], 1000).length).toBeLessThan(300);
  });

  test('are cut between pages, however large those are', () => {
    const regions = initialRegions([{ start: 0x9f000, end: 64 * MIB }], 200);
    expect(regions.length).toBeGreaterThan(100);
    expect(regions.slice(1).every((region) => region.start % 65_536 === 0)).toBe(true);
    expect(initialRegions([{ start: 0, end: 131_072 }], 100)).toHaveLength(2);
  });
});
