import { expect, test } from 'vitest';
import { migrationsFor } from '../../../../tiering/move-pages/migrations.ts';
import { coldestRanges, hottestRanges } from '../../../../tiering/move-pages/selection.ts';
import { DEFAULT_POLICY } from '../../../../tiering/policy.ts';
import type { NodeSnapshot, Region } from '../../../../tiering/snapshot.ts';
import type { DemotionReach } from '../../../../tiering/tuner/reach.ts';
import { promotionBounds, reachBounds } from '../../../../tiering/tuner/reach.ts';
import { ALL_FEATURES, machine } from '../machines.ts';

const POLICY = { ...DEFAULT_POLICY, promotion: { ...DEFAULT_POLICY.promotion, minAccessRate: 0.2 } };

const region = (start: number, nrAccesses: number, age: number): Region => ({
  start,
  end: start + 10,
  nrAccesses,
  age,
});

/** Of 10 samples 2 are hot; 10 aggregations are the 5 s of the default minimum age for demotion. */
const snapshot: NodeSnapshot = {
  nodeId: 0,
  takenAtMs: 0,
  maxNrAccesses: 10,
  aggregationIntervalMs: 500,
  regions: [
    region(0, 2, 1),
    region(10, 9, 3),
    region(20, 0, 10),
    region(30, 9, 8),
    region(40, 1, 4),
    region(50, 0, 30),
    region(60, 0, 9),
  ],
};
const within = (reach: Exclude<DemotionReach, 'pages'>) => reachBounds(reach, POLICY, snapshot);
const starts = (ranges: readonly { readonly start: number }[]) => ranges.map(({ start }) => start);

test('the hottest come first, of equals those that have been hot for longer', () => {
  expect(starts(hottestRanges(snapshot, promotionBounds(POLICY, snapshot, false)))).toEqual([30, 10, 0]);
});

test('what leaves though it is hot is told from what leaves for being cold', () => {
  expect(coldestRanges(snapshot, within('any'), POLICY).looseFrom).toBe(2);
  expect(coldestRanges(snapshot, within('warm'), POLICY).looseFrom).toBe(1);
  expect(coldestRanges({ ...snapshot, regions: [] }, within('any'), POLICY).looseFrom).toBe(0);
});

test('what is hot only for a moment waits for the minimum age', () => {
  const patient = { ...POLICY, promotion: { ...POLICY.promotion, minAgeSeconds: 1.5 } };
  expect(starts(hottestRanges(snapshot, promotionBounds(patient, snapshot, false)))).toEqual([30, 10]);
});

test('idle memory is demoted the longest idle first', () => {
  expect(starts(coldestRanges(snapshot, within('idle'), POLICY).ranges)).toEqual([50, 20]);
});

test('a further reach takes warmer memory, the coldest first', () => {
  expect(starts(coldestRanges(snapshot, within('warm'), POLICY).ranges)).toEqual([40]);
  expect(starts(coldestRanges(snapshot, within('any'), POLICY).ranges)).toEqual([40, 0, 30, 10]);
});

test('demotions come before promotions, as they make the room; what is off moves nothing', () => {
  const topology = machine([
    { nodeId: 0, tier: 0, totalMiB: 1 },
    { nodeId: 1, tier: 1, totalMiB: 1 },
  ]);
  const input = {
    topology,
    policy: POLICY,
    features: ALL_FEATURES,
    scope: { include: 'all', exclude: [] },
    orders: [
      {
        nodeId: 1,
        promotion: { budgetBytes: 100, bounds: promotionBounds(POLICY, snapshot, false), targetNodeId: 0, reason: '' },
      },
      {
        nodeId: 0,
        demotion: {
          budgetBytes: 50,
          bounds: within('idle'),
          targetNodeId: 1,
          reason: '',
          reach: 'idle',
          furthest: 'warm',
        },
      },
    ],
  } as const;
  const snapshots = new Map([0, 1].map((nodeId) => [nodeId, { ...snapshot, nodeId }]));

  expect(migrationsFor(input, snapshots)).toMatchObject([
    {
      direction: 'demotion',
      fromNodeId: 0,
      toNodeId: 1,
      budgetBytes: 50,
      ranges: [{ start: 50 }, { start: 20 }],
      looseFrom: 2,
    },
    {
      direction: 'promotion',
      fromNodeId: 1,
      toNodeId: 0,
      budgetBytes: 100,
      ranges: [{ start: 30 }, { start: 10 }, { start: 0 }],
    },
  ]);
  const off = {
    ...input,
    orders: [
      {
        nodeId: 1,
        promotion: { budgetBytes: 0, bounds: promotionBounds(POLICY, snapshot, false), targetNodeId: 0, reason: '' },
      },
    ],
  };
  expect(migrationsFor(off, snapshots)).toEqual([]);
  expect(migrationsFor(input, new Map())).toEqual([]);
});

test('migrations go to the target of their order, and nowhere when memory there has gone since', () => {
  const topology = machine([
    { nodeId: 0, tier: 0, totalMiB: 1 },
    { nodeId: 1, tier: 1, totalMiB: 1 },
    { nodeId: 2, tier: 1, totalMiB: 1 },
  ]);
  const order = (targetNodeId: number) =>
    ({
      nodeId: 0,
      demotion: { budgetBytes: 50, bounds: within('idle'), targetNodeId, reason: '', reach: 'idle', furthest: 'warm' },
    }) as const;
  const toward = (targetNodeId: number) =>
    migrationsFor(
      {
        topology,
        policy: POLICY,
        features: ALL_FEATURES,
        scope: { include: [], exclude: [] },
        orders: [order(targetNodeId)],
      },
      new Map([[0, { ...snapshot, nodeId: 0 }]]),
    ).map(({ toNodeId }) => toNodeId);
  expect([toward(1), toward(2), toward(3)]).toEqual([[1], [2], []]);
});
