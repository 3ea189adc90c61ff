import { describe, expect, it } from 'vitest';
import { plan } from '../../../tiering/plan.ts';
import type { Policy } from '../../../tiering/policy.ts';
import { DEFAULT_POLICY } from '../../../tiering/policy.ts';
import type { DamonFeatures } from '../../../tiering/scheme.ts';
import { isPromotion } from '../../../tiering/scheme.ts';
import { regionsWithin } from '../../../tiering/snapshot.ts';
import { ALL_FEATURES, machine } from './machines.ts';

const NUMA2 = machine([
  { nodeId: 0, totalMiB: 1024, tier: 0 },
  { nodeId: 1, totalMiB: 2048, tier: 1 },
]);

function planned(policy: Partial<Policy>, features: Partial<DamonFeatures> = {}, topology = NUMA2) {
  const kdamonds = plan({
    topology,
    policy: { ...DEFAULT_POLICY, ...policy },
    features: { ...ALL_FEATURES, ...features },
    scope: { include: 'all', exclude: [] },
    orders: [],
  });
  const goals = kdamonds.flatMap(({ schemes }) => schemes.flatMap(({ quota }) => quota.goal ?? []));
  return { kdamonds, goals };
}

describe('a hotShare below 1', () => {
  it("is the kernel's limit too, a little above what the daemon's own loop wants", () => {
    expect(planned({ hotShare: 0.5 }).goals).toEqual([{ metric: 'node_eligible_mem_bp', nodeId: 0, targetBp: 5500 }]);
  });

  it('makes the slow node watch the fast one too, in regions for both, and leave it alone', () => {
    const [fast, slow] = planned({ hotShare: 0.5 }).kdamonds;
    expect(slow?.comparedRanges).toEqual(fast?.ranges);
    expect(slow?.minRegions).toBeGreaterThan(planned({}).kdamonds[1]?.minRegions ?? Number.POSITIVE_INFINITY);
    for (const { filters } of slow?.schemes ?? []) {
      expect(filters.filter(({ type }) => type === 'addr')).toEqual(
        fast?.ranges.map((range) => ({ type: 'addr', range, matching: true, allow: false })),
      );
    }
    expect(fast?.comparedRanges).toBeUndefined();
  });

  it('is a goal of promotions only', () => {
    const three = machine([
      { nodeId: 0, totalMiB: 1024, tier: 0 },
      { nodeId: 1, totalMiB: 1024, tier: 1 },
      { nodeId: 2, totalMiB: 1024, tier: 2 },
    ]);
    const { kdamonds } = planned({ hotShare: 0.5 }, {}, three);
    const limited = kdamonds.flatMap(({ nodeId, schemes }) =>
      schemes.filter(({ quota }) => quota.goal !== undefined).map((scheme) => [nodeId, isPromotion(scheme)]),
    );
    expect(limited).toEqual([[1, true]]);
  });

  it.each<[string, Partial<Policy>, Partial<DamonFeatures>]>([
    ['all hot memory is to be fast', { hotShare: 1 }, {}],
    ['hardly any less is', { hotShare: 0.96 }, {}],
    ['the kernel has no such goal', { hotShare: 0.5 }, { goalMetrics: ['user_input'] }],
    ['the kernel would begin with a byte', { hotShare: 0.5 }, { goalTuners: ['consist'] }],
  ])("is the daemon's own affair when %s", (_, policy, features) => {
    const { kdamonds, goals } = planned(policy, features);
    expect(goals).toEqual([]);
    expect(kdamonds.every(({ comparedRanges }) => comparedRanges === undefined)).toBe(true);
  });

  it("is the daemon's own affair with several nodes below, of which a kdamond sees one", () => {
    const expanders = machine([
      { nodeId: 0, totalMiB: 1024, tier: 0 },
      { nodeId: 1, totalMiB: 1024, tier: 1 },
      { nodeId: 2, totalMiB: 1024, tier: 1 },
    ]);
    expect(planned({ hotShare: 0.5 }, {}, expanders).goals).toEqual([]);
  });
});

it('regions of other nodes are cut off at the border', () => {
  const region = (start: number, end: number) => ({ start, end, nrAccesses: 1, age: 2 });
  const regions = [region(0, 10), region(10, 30), region(30, 50), region(50, 60)];
  expect(regionsWithin(regions, { start: 20, end: 50 })).toEqual([region(20, 30), region(30, 50)]);
});
