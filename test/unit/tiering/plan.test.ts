import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { describeLeftOut } from '../../../tiering/filter-limit.ts';
import type { PlanInput } from '../../../tiering/plan.ts';
import { plan } from '../../../tiering/plan.ts';
import type { Policy } from '../../../tiering/policy.ts';
import { DEFAULT_POLICY } from '../../../tiering/policy.ts';
import type { CgroupScope, DamonFeatures, DesiredKdamond, DesiredScheme } from '../../../tiering/scheme.ts';
import { directionOf, isPromotion } from '../../../tiering/scheme.ts';
import type { NodeOrders } from '../../../tiering/tuner/order.ts';
import type { Reach } from '../../../tiering/tuner/reach.ts';
import { promotionBounds, REACHES, reachBounds } from '../../../tiering/tuner/reach.ts';
import { ALL_FEATURES, machine } from './machines.ts';

const MIB = 1024 * 1024;
/** What orders of these tests are made for: a fifth of the samples is hot. */
const OLD_POLICY = { ...DEFAULT_POLICY, promotion: { ...DEFAULT_POLICY.promotion, minAccessRate: 0.2 } };
const WATCHED = { maxNrAccesses: 20, aggregationIntervalMs: 1000 };
const UNBOUNDED = Number.POSITIVE_INFINITY;

/** 20 samples an aggregation of a second: patterns in round numbers. */
const BY_THE_SECOND: Policy['monitoring'] = {
  ...DEFAULT_POLICY.monitoring,
  samplingIntervalMs: 50,
  aggregationIntervalMs: 1000,
};

const NUMA2 = machine([
  { nodeId: 0, totalMiB: 1024, tier: 0 },
  { nodeId: 1, totalMiB: 2048, tier: 1 },
]);

/** The features of Debian's 6.12: filters only reject, and are not split. */
const OLDER: DamonFeatures = {
  ...ALL_FEATURES,
  allowFilters: false,
  splitFilters: false,
  filterPassedBytes: false,
};

interface Change {
  readonly topology?: PlanInput['topology'];
  readonly policy?: Partial<Policy>;
  readonly features?: DamonFeatures;
  readonly scope?: Partial<CgroupScope>;
  readonly orders?: readonly NodeOrders[];
}

function plannedAll({ topology = NUMA2, policy, features = ALL_FEATURES, scope, orders = [] }: Change = {}) {
  return plan({
    topology,
    policy: { ...DEFAULT_POLICY, monitoring: BY_THE_SECOND, ...policy },
    features,
    scope: { include: 'all', exclude: [], ...scope },
    orders,
  });
}

/** Without the schemes that only look. */
function planned(change: Change = {}): readonly DesiredKdamond[] {
  const moves = (scheme: DesiredScheme) => directionOf(scheme) !== 'look';
  return plannedAll(change).map((kdamond) => ({ ...kdamond, schemes: kdamond.schemes.filter(moves) }));
}

function lookOf(nodeId: number, change: Change): DesiredScheme | undefined {
  return kdamondOf(plannedAll(change), nodeId).schemes.find((scheme) => directionOf(scheme) === 'look');
}

function kdamondOf(kdamonds: readonly DesiredKdamond[], nodeId: number): DesiredKdamond {
  const kdamond = kdamonds.find((candidate) => candidate.nodeId === nodeId);
  if (kdamond === undefined) throw new Error(`no kdamond for node ${nodeId}`);
  return kdamond;
}

function onlySchemeOf(kdamonds: readonly DesiredKdamond[], nodeId: number) {
  const [scheme, ...others] = kdamondOf(kdamonds, nodeId).schemes;
  if (scheme === undefined || others.length > 0) throw new Error(`node ${nodeId} has not one scheme`);
  return scheme;
}

function promotion(nodeId: number, budgetBytes: number): NodeOrders {
  return {
    nodeId,
    promotion: {
      budgetBytes,
      bounds: promotionBounds(OLD_POLICY, WATCHED, false),
      targetNodeId: nodeId - 1,
      reason: 'test',
    },
  };
}

function demotion(nodeId: number, budgetBytes: number, reach: Reach): NodeOrders {
  return {
    nodeId,
    demotion: {
      budgetBytes,
      bounds: reachBounds(reach, OLD_POLICY, WATCHED),
      targetNodeId: nodeId + 1,
      reach,
      furthest: 'any',
      reason: 'test',
    },
  };
}

describe('kdamonds and schemes by topology', () => {
  function migrations(kdamonds: readonly DesiredKdamond[]) {
    return kdamonds.map(({ nodeId, schemes }) => ({
      nodeId,
      schemes: schemes.map(({ action, targetNid }) => `${action} ${targetNid}`),
    }));
  }

  it('two nodes: cold memory of the fast one goes down, hot memory of the slow one up', () => {
    expect(migrations(planned())).toEqual([
      { nodeId: 0, schemes: ['migrate_cold 1'] },
      { nodeId: 1, schemes: ['migrate_hot 0'] },
    ]);
  });

  it('two sockets with an expander each pair up', () => {
    const topology = machine(
      [
        { nodeId: 0, totalMiB: 1024, tier: 0 },
        { nodeId: 1, totalMiB: 1024, tier: 0 },
        { nodeId: 2, totalMiB: 1024, tier: 1 },
        { nodeId: 3, totalMiB: 1024, tier: 1 },
      ],
      [
        { nodeId: 0, promotionTargets: [], demotionTargets: [2] },
        { nodeId: 1, promotionTargets: [], demotionTargets: [3] },
        { nodeId: 2, promotionTargets: [0], demotionTargets: [] },
        { nodeId: 3, promotionTargets: [1], demotionTargets: [] },
      ],
    );

    expect(migrations(planned({ topology }))).toEqual([
      { nodeId: 0, schemes: ['migrate_cold 2'] },
      { nodeId: 1, schemes: ['migrate_cold 3'] },
      { nodeId: 2, schemes: ['migrate_hot 0'] },
      { nodeId: 3, schemes: ['migrate_hot 1'] },
    ]);
  });

  it('three tiers: the node between has both schemes, the promotion first', () => {
    const topology = machine([
      { nodeId: 0, totalMiB: 1024, tier: 0 },
      { nodeId: 1, totalMiB: 1024, tier: 1 },
      { nodeId: 2, totalMiB: 1024, tier: 2 },
    ]);

    const kdamonds = planned({ topology });

    expect(migrations(kdamonds)).toEqual([
      { nodeId: 0, schemes: ['migrate_cold 1'] },
      { nodeId: 1, schemes: ['migrate_hot 0', 'migrate_cold 2'] },
      { nodeId: 2, schemes: ['migrate_hot 1'] },
    ]);
    expect(kdamondOf(kdamonds, 1).schemes.map(isPromotion)).toEqual([true, false]);
  });

  describe('with several targets', () => {
    const topology = machine([
      { nodeId: 0, totalMiB: 1024, tier: 0 },
      { nodeId: 1, totalMiB: 1024, tier: 0 },
      { nodeId: 2, totalMiB: 1024, tier: 1 },
    ]);
    const toward = (targetNodeId: number): readonly NodeOrders[] => [
      {
        nodeId: 2,
        promotion: {
          budgetBytes: 64 * MIB,
          bounds: promotionBounds(OLD_POLICY, WATCHED, false),
          targetNodeId,
          reason: 'test',
        },
      },
    ];
    const budgets = (features: DamonFeatures, orders: readonly NodeOrders[]) =>
      kdamondOf(planned({ topology, features, orders }), 2).schemes.map(({ name, targetNid, quota }) => [
        name,
        targetNid,
        quota.bytes / MIB >= 1 ? quota.bytes / MIB : 'off',
      ]);

    it('one scheme has the target of the order, and the preferred one without', () => {
      expect(budgets(ALL_FEATURES, [])).toEqual([['promote to node 0', 0, 'off']]);
      expect(budgets(ALL_FEATURES, toward(0))).toEqual([['promote to node 0', 0, 64]]);
      expect(budgets(ALL_FEATURES, toward(1))).toEqual([['promote to node 1', 1, 64]]);
    });

    it('each target has a scheme of its own where commits leave targets alone, and an order turns on one of them', () => {
      const older = { ...ALL_FEATURES, commitsTargetNid: false };
      const schemes = (first: number | string, second: number | string) => [
        ['promote to node 0', 0, first],
        ['promote to node 1', 1, second],
      ];
      expect(budgets(older, [])).toEqual(schemes('off', 'off'));
      expect(budgets(older, toward(0))).toEqual(schemes(64, 'off'));
      expect(budgets(older, toward(1))).toEqual(schemes('off', 64));
    });

    it.each([true, false])(
      'an order to a node that has gone is off (commits change targets: %s)',
      (commitsTargetNid) => {
        const off = budgets({ ...ALL_FEATURES, commitsTargetNid }, toward(7)).map(([, , budget]) => budget);
        expect(new Set(off)).toEqual(new Set(['off']));
      },
    );
  });

  it('a node without online ranges, or without anywhere to migrate to, gets no kdamond', () => {
    const noRanges = machine([
      { nodeId: 0, totalMiB: 1024, tier: 0 },
      { nodeId: 1, totalMiB: 0, tier: 1, ranges: [] },
    ]);
    const noTiers = machine([{ nodeId: 0, totalMiB: 1024, tier: 0 }]);

    expect(planned({ topology: noRanges }).map((kdamond) => kdamond.nodeId)).toEqual([0]);
    expect(planned({ topology: noTiers })).toEqual([]);
  });

  it('a kdamond watches exactly the online ranges of its node', () => {
    const ranges = [
      { start: 0, end: 640 * 1024 },
      { start: MIB, end: 512 * MIB },
    ];
    const topology = machine([
      { nodeId: 0, totalMiB: 512, tier: 0, ranges },
      { nodeId: 1, totalMiB: 1024, tier: 1 },
    ]);

    expect(kdamondOf(planned({ topology }), 0).ranges).toEqual(ranges);
  });
});

describe('monitoring', () => {
  function regionsOf(totalMiB: number, monitoring: Partial<Policy['monitoring']> = {}) {
    const topology = machine([
      { nodeId: 0, totalMiB, tier: 0 },
      { nodeId: 1, totalMiB: 1024, tier: 1 },
    ]);
    const { minRegions, maxRegions } = kdamondOf(
      planned({ topology, policy: { monitoring: { ...DEFAULT_POLICY.monitoring, ...monitoring } } }),
      0,
    );
    return { minRegions, maxRegions };
  }

  it('"auto" takes a region for 4 MiB at least, from 100 to 1000, and at most four times as many', () => {
    expect(regionsOf(64)).toEqual({ minRegions: 100, maxRegions: 400 });
    expect(regionsOf(2048)).toEqual({ minRegions: 512, maxRegions: 2048 });
    expect(regionsOf(1_000_000)).toEqual({ minRegions: 1000, maxRegions: 4000 });
  });

  it('the operator can set either bound; the most is never below the fewest', () => {
    expect(regionsOf(2048, { minRegions: 50 })).toEqual({ minRegions: 50, maxRegions: 200 });
    expect(regionsOf(2048, { maxRegions: 3000 })).toEqual({ minRegions: 512, maxRegions: 3000 });
    expect(regionsOf(2048, { minRegions: 1000, maxRegions: 200 })).toEqual({ minRegions: 1000, maxRegions: 1000 });
  });

  it('a node of many ranges has regions left to split', () => {
    const ranges = Array.from({ length: 300 }, (_, index) => ({ start: index * 8 * MIB, end: (index * 8 + 1) * MIB }));
    const topology = machine([
      { nodeId: 0, totalMiB: 300, tier: 0, ranges },
      { nodeId: 1, totalMiB: 1024, tier: 1 },
    ]);

    expect(kdamondOf(planned({ topology }), 0).maxRegions).toBeGreaterThanOrEqual(2 * ranges.length);
  });

  it('intervals are handed on in microseconds', () => {
    const policy = {
      ...DEFAULT_POLICY,
      monitoring: { ...DEFAULT_POLICY.monitoring, samplingIntervalMs: 5, aggregationIntervalMs: 100 },
    };

    const kdamond = kdamondOf(planned({ policy }), 0);

    expect(kdamond.samplingIntervalUs).toBe(5000);
    expect(kdamond.aggregationIntervalUs).toBe(100_000);
    expect(kdamond.updateIntervalUs).toBeGreaterThanOrEqual(kdamond.aggregationIntervalUs);
  });
});

describe('access patterns', () => {
  it('promotion takes the regions of its order', () => {
    const bounds = { minNrAccesses: 7, maxNrAccesses: 20, minAge: 3, checkYoung: false };
    const order = { nodeId: 1, promotion: { budgetBytes: MIB, bounds, targetNodeId: 0, reason: 'test' } };

    const { pattern } = onlySchemeOf(planned({ orders: [order] }), 1);

    expect(pattern.nrAccesses).toEqual({ min: 7, max: UNBOUNDED });
    expect(pattern.age).toEqual({ min: 3, max: UNBOUNDED });
  });

  it.each<[Reach, { nrAccesses: object; age: object; young: boolean }]>([
    ['idle', { nrAccesses: { min: 0, max: 0 }, age: { min: 5, max: UNBOUNDED }, young: false }],
    ['cold', { nrAccesses: { min: 0, max: 0 }, age: { min: 1, max: UNBOUNDED }, young: true }],
    ['warm', { nrAccesses: { min: 1, max: 3 }, age: { min: 1, max: UNBOUNDED }, young: true }],
    ['any', { nrAccesses: { min: 1, max: 20 }, age: { min: 0, max: UNBOUNDED }, young: false }],
  ])('demotion that reaches for %s memory', (reach, { young, ...expected }) => {
    const scheme = onlySchemeOf(planned({ orders: [demotion(0, 8 * MIB, reach)] }), 0);

    expect(scheme.pattern).toMatchObject(expected);
    expect(scheme.filters).toEqual(young ? [{ type: 'young', matching: true, allow: false }] : []);
  });

  it('without the kernel’s young filter the pattern alone decides', () => {
    const features = { ...ALL_FEATURES, youngFilter: false };

    expect(onlySchemeOf(planned({ features, orders: [demotion(0, MIB, 'warm')] }), 0).filters).toEqual([]);
  });
});

describe('budgets', () => {
  it('an order is what one pass may try', () => {
    const kdamonds = planned({ orders: [demotion(0, 24 * MIB, 'idle'), promotion(1, 32 * MIB)] });

    expect(onlySchemeOf(kdamonds, 0).quota.bytes).toBe(24 * MIB);
    expect(onlySchemeOf(kdamonds, 1).quota.bytes).toBe(32 * MIB);
  });

  it('no pass is longer than its charge window, so no budget is carried over or spread', () => {
    for (const { schemes, samplingIntervalUs } of planned()) {
      for (const { quota } of schemes) expect(quota.resetIntervalMs * 1000).toBeLessThan(samplingIntervalUs);
    }
  });

  it('off is one byte, less than a page, for nodes without orders and for orders of zero', () => {
    const kdamonds = planned({ orders: [promotion(1, 0)] });

    expect(onlySchemeOf(kdamonds, 0).quota.bytes).toBe(1);
    expect(onlySchemeOf(kdamonds, 1).quota.bytes).toBe(1);
  });

  it('what is off matches no region, however old, as the first pass of a new scheme knows no quota on 6.12', () => {
    const yearsInShortestAggregations = (5 * 365 * 86_400 * 1000) / 20;
    const off = [planned(), planned({ orders: [promotion(1, 0), ...REACHES.map((reach) => demotion(0, 0, reach))] })];
    const cgroups = planned({ features: OLDER, scope: { include: ['/a', '/b'] } });

    for (const { pattern } of [...off, cgroups].flat().flatMap(({ schemes }) => schemes)) {
      expect(pattern.age.min).toBeGreaterThan(yearsInShortestAggregations / 2);
      expect(pattern.age.min).toBeLessThan(2 ** 32);
    }
  });

  it('an order changes budgets and reach, never the number or place of schemes', () => {
    const shape = (orders: readonly NodeOrders[]) =>
      planned({ orders }).map(({ nodeId, schemes }) => [nodeId, ...schemes.map((scheme) => scheme.name)]);

    for (const reach of REACHES) {
      expect(shape([demotion(0, 8 * MIB, reach), promotion(1, 8 * MIB)])).toEqual(shape([]));
    }
  });

  it('the access rate weighs most, the size nothing', () => {
    const { weights } = onlySchemeOf(planned(), 0).quota;

    expect(weights.size).toBe(0);
    expect(weights.nrAccesses).toBeGreaterThan(weights.age);
    expect(weights.age).toBeGreaterThan(0);
  });
});

describe('dry run', () => {
  it('counts what would move and moves nothing', () => {
    const actions = planned({ policy: { dryRun: true } }).flatMap(({ schemes }) => schemes.map(({ action }) => action));

    expect(actions).toEqual(['stat', 'stat']);
  });
});

describe('looks at pages', () => {
  const orders = [{ nodeId: 1, lookBytes: 512 * MIB }];

  it('count what was touched and move nothing, where the kernel looks through filters', () => {
    expect(lookOf(1, { orders })).toMatchObject({
      action: 'stat',
      pattern: { nrAccesses: { min: 0, max: UNBOUNDED }, age: { min: 0, max: UNBOUNDED } },
      quota: { bytes: 512 * MIB, weights: { size: 0, nrAccesses: 0, age: 0 } },
      maxPasses: 1,
      filters: [{ type: 'young', matching: false, allow: false }],
    });
  });

  it('match nothing without an order', () => {
    expect(lookOf(0, { orders })).toMatchObject({ quota: { bytes: 1 }, pattern: { age: { min: 2 ** 32 - 1 } } });
    expect(lookOf(0, { orders })).not.toHaveProperty('maxPasses');
  });

  it('before, are migrations to where pages are, out of nodes that promote alone: they set ages back', () => {
    expect(lookOf(1, { orders, features: OLDER })).toMatchObject({ action: 'migrate_hot', targetNid: 1 });
    expect(lookOf(0, { orders, features: OLDER })).toBeUndefined();
    expect(lookOf(1, { orders, features: OLDER, policy: { dryRun: true } })?.action).toBe('stat');
  });

  it('are not there where the kernel cannot tell pages apart', () => {
    expect(lookOf(1, { orders, features: { ...ALL_FEATURES, youngFilter: false } })).toBeUndefined();
  });

  it('keep to the cgroups in scope', () => {
    const filters = lookOf(1, { orders, scope: { exclude: ['/a'] } })?.filters;
    expect(filters?.[0]).toEqual({ type: 'memcg', memcgPath: '/a', matching: true, allow: false });
  });

  it('are followed by sweeps from the lowest address up: pages that were touched go up, all others down', () => {
    const bounds = { minNrAccesses: 0, maxNrAccesses: 20, minAge: 0, checkYoung: true };
    const sweep = { budgetBytes: MIB, bounds, isSweep: true, reason: 'test' };
    const swept = planned({
      orders: [
        { nodeId: 0, demotion: { ...sweep, targetNodeId: 1, reach: 'pages', furthest: 'warm' } },
        { nodeId: 1, promotion: { ...sweep, targetNodeId: 0 } },
      ],
    });
    expect(onlySchemeOf(swept, 1).filters).toEqual([{ type: 'young', matching: false, allow: false }]);
    expect(onlySchemeOf(swept, 0).filters).toEqual([{ type: 'young', matching: true, allow: false }]);
    for (const nodeId of [0, 1]) {
      expect(onlySchemeOf(swept, nodeId).quota.weights).toEqual({ size: 0, nrAccesses: 0, age: 0 });
    }
  });
});

describe('cgroups', () => {
  const include = ['/system.slice', '/user.slice'];

  it('excluded ones are rejected first, whatever the kernel', () => {
    for (const features of [ALL_FEATURES, OLDER]) {
      const scheme = onlySchemeOf(planned({ features, scope: { exclude: ['/a', '/b'] } }), 1);
      expect(scheme.filters).toEqual([
        { type: 'memcg', memcgPath: '/a', matching: true, allow: false },
        { type: 'memcg', memcgPath: '/b', matching: true, allow: false },
      ]);
    }
  });

  it('where filters can let pass, one scheme holds rejects, then allows, so that the rest is rejected', () => {
    const kdamonds = planned({ scope: { include, exclude: ['/a'] }, orders: [demotion(0, MIB, 'cold')] });

    expect(onlySchemeOf(kdamonds, 0).filters).toEqual([
      { type: 'memcg', memcgPath: '/a', matching: true, allow: false },
      { type: 'young', matching: true, allow: false },
      { type: 'memcg', memcgPath: '/system.slice', matching: true, allow: true },
      { type: 'memcg', memcgPath: '/user.slice', matching: true, allow: true },
    ]);
  });

  it('before, each included cgroup has a scheme that rejects all others, and its share of the budget', () => {
    const kdamonds = planned({
      features: OLDER,
      scope: { include, exclude: ['/a'] },
      orders: [promotion(1, 10 * MIB)],
    });

    const { schemes } = kdamondOf(kdamonds, 1);

    expect(schemes.map((scheme) => scheme.quota.bytes)).toEqual([5 * MIB, 5 * MIB]);
    expect(schemes.map((scheme) => scheme.filters)).toEqual(
      include.map((memcgPath) => [
        { type: 'memcg', memcgPath: '/a', matching: true, allow: false },
        { type: 'memcg', memcgPath, matching: false, allow: false },
      ]),
    );
    expect(schemes.every(isPromotion)).toBe(true);
  });

  it('more of them than DAMON takes filters are cut, and told with the way out', () => {
    const many = Array.from({ length: 300 }, (_, index) => `/c${index}`);
    const scheme = onlySchemeOf(planned({ scope: { include: many, exclude: many.slice(0, 3) } }), 0);
    expect(scheme.filters).toHaveLength(256 + 3);
    expect(describeLeftOut({ include: many.slice(0, 256), exclude: many.slice(0, 3) })).toBeUndefined();
    expect(describeLeftOut({ include: many, exclude: many })).toMatch(
      /^300 cgroups are included, DAMON's schemes take 256: .* not moved; 300 cgroups are excluded, .*; name cgroups with fewer below them, or use engine move_pages/,
    );
  });

  it('schemes that share a budget stay off while it is zero', () => {
    const { schemes } = kdamondOf(planned({ features: OLDER, scope: { include } }), 0);

    expect(schemes.map((scheme) => scheme.quota.bytes)).toEqual([1, 1]);
  });
});

describe('determinism', () => {
  it('the same input gives the same schemes, and the input is left as it was', () => {
    fc.assert(
      fc.property(
        fc.constantFrom(...REACHES),
        fc.integer({ min: 0, max: 4096 }),
        fc.boolean(),
        fc.constantFrom(ALL_FEATURES, OLDER),
        fc.array(fc.constantFrom('/a', '/b', '/c'), { maxLength: 3 }),
        (reach, budgetMiB, dryRun, features, include) => {
          const input: PlanInput = {
            topology: NUMA2,
            policy: { ...DEFAULT_POLICY, dryRun },
            features,
            scope: { include, exclude: [] },
            orders: [demotion(0, budgetMiB * MIB, reach), promotion(1, budgetMiB * MIB)],
          };
          const before = structuredClone(input);
          expect(plan(input)).toEqual(plan(before));
          expect(input).toEqual(before);
        },
      ),
      { seed: 1 },
    );
  });
});
