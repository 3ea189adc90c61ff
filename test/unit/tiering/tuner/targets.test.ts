import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { MigrationPath } from '../../../../numa/topology.ts';
import type { NodeObservation } from '../../../../tiering/observation.ts';
import { DEFAULT_POLICY } from '../../../../tiering/policy.ts';
import { FRESH_EFFORT } from '../../../../tiering/tuner/demotion-effort.ts';
import type { NodeTuning } from '../../../../tiering/tuner/node-tuning.ts';
import { learn } from '../../../../tiering/tuner/node-tuning.ts';
import type { TargetInput } from '../../../../tiering/tuner/targets.ts';
import { chooseTargets, SharedRoom } from '../../../../tiering/tuner/targets.ts';
import { ANY_REGION } from '../any-region.ts';

const MIB = 1024 * 1024;
const GIB = 1024 * MIB;
const NOW_MS = 100_000;

interface Seen {
  readonly totalBytes?: number;
  /** Above what it must keep free. */
  readonly room: number;
  readonly hot?: number;
  /** Where its last orders went. */
  readonly promotedTo?: number;
  readonly demotedTo?: number;
  readonly resting?: boolean;
}

/** What nodes must keep free here; any number does. */
const KEPT = MIB;

function input(seen: Readonly<Record<number, Seen>>, paths: readonly MigrationPath[], keepsPairs = false): TargetInput {
  const nodes = Object.entries(seen).map(([id, { totalBytes = GIB, room }]): [number, NodeObservation] => [
    Number(id),
    {
      nodeId: Number(id),
      totalBytes,
      freeBytes: room + KEPT,
      highWatermarkBytes: 0,
      promotedBytes: 0,
      demotedBytes: 0,
      promotionTriedBytes: 0,
      demotionTriedBytes: 0,
    },
  ]);
  const learned = nodes.map(([nodeId, node]): [number, NodeTuning] => {
    const { promotedTo, demotedTo, resting = false } = seen[nodeId] ?? { room: 0 };
    const order = { budgetBytes: MIB, bounds: ANY_REGION, reason: 'test' };
    return [
      nodeId,
      {
        ...learn(undefined, node, DEFAULT_POLICY, NOW_MS),
        effort: { ...FRESH_EFFORT, restUntilMs: resting ? NOW_MS + 1000 : 0 },
        lastOrders: {
          nodeId,
          ...(promotedTo !== undefined && { promotion: { ...order, targetNodeId: promotedTo } }),
          ...(demotedTo !== undefined && {
            demotion: { ...order, targetNodeId: demotedTo, reach: 'idle', furthest: 'warm' },
          }),
        },
      },
    ];
  });
  return {
    nowMs: NOW_MS,
    paths,
    observed: new Map(nodes),
    learned: new Map(learned),
    levels: new Map(),
    hotBytes: new Map(nodes.map(([nodeId]) => [nodeId, seen[nodeId]?.hot ?? 0])),
    keepFreeBytes: () => KEPT,
    keepsPairs,
  };
}

const SNC: readonly MigrationPath[] = [
  { nodeId: 0, promotionTargets: [], demotionTargets: [2] },
  { nodeId: 1, promotionTargets: [], demotionTargets: [2] },
  { nodeId: 2, promotionTargets: [0, 1], demotionTargets: [] },
];
const EXPANDERS: readonly MigrationPath[] = [
  { nodeId: 0, promotionTargets: [], demotionTargets: [1, 2] },
  { nodeId: 1, promotionTargets: [0], demotionTargets: [] },
  { nodeId: 2, promotionTargets: [0], demotionTargets: [] },
];

const up = (seen: Readonly<Record<number, Seen>>, keepsPairs = false) =>
  chooseTargets(input(seen, SNC, keepsPairs)).get(2)?.promotion;
const down = (seen: Readonly<Record<number, Seen>>) => chooseTargets(input(seen, EXPANDERS)).get(0)?.demotion;

const HOT = { room: GIB, hot: GIB / 4 };
const FULL = { room: 0 };
const EMPTY = { room: GIB / 2 };

describe('hot memory', () => {
  it('goes to the nearest node with room, and it is said why when that is not the nearest', () => {
    expect(up({ 0: EMPTY, 1: EMPTY, 2: HOT })).toEqual({ nodeId: 0 });
    expect(up({ 0: FULL, 1: EMPTY, 2: HOT })).toEqual({ nodeId: 1, why: 'to node 1, as node 0 has no room' });
  });

  it('goes to a node that is seen', () => {
    expect(up({ 1: EMPTY, 2: HOT })?.nodeId).toBe(1);
    expect(up({ 2: HOT })?.nodeId).toBe(0);
  });

  it('stays with its node until that is full, and comes back to a nearer one only for plenty of room', () => {
    const little = { room: 15 * MIB };
    expect(up({ 0: little, 1: EMPTY, 2: HOT })?.nodeId).toBe(0);
    expect(up({ 0: little, 1: EMPTY, 2: { ...HOT, promotedTo: 1 } })?.nodeId).toBe(1);
    expect(up({ 0: { room: 21 * MIB }, 1: EMPTY, 2: { ...HOT, promotedTo: 1 } })?.nodeId).toBe(0);
  });

  it('of a few MiB needs no more room than that', () => {
    expect(up({ 0: { room: 3 * MIB }, 1: EMPTY, 2: { ...HOT, hot: 2 * MIB } })?.nodeId).toBe(0);
  });

  it('that is not there changes no target', () => {
    expect(up({ 0: EMPTY, 1: FULL, 2: { room: GIB, promotedTo: 1 } })?.nodeId).toBe(1);
  });

  it('on a node whose target has gone begins with the nearest again', () => {
    expect(up({ 0: EMPTY, 1: EMPTY, 2: { ...HOT, promotedTo: 7 } })?.nodeId).toBe(0);
  });

  it('is exchanged with the nearest node where none has room, unless that has just been tried in vain', () => {
    expect(up({ 0: FULL, 1: FULL, 2: HOT })?.nodeId).toBe(0);
    expect(up({ 0: { ...FULL, resting: true }, 1: FULL, 2: HOT })?.nodeId).toBe(1);
    expect(up({ 0: { ...FULL, resting: true }, 1: { ...FULL, resting: true }, 2: HOT })?.nodeId).toBe(0);
  });

  it('goes nowhere that others wait to go, unless nothing else is left', () => {
    const paths: readonly MigrationPath[] = [
      { nodeId: 0, promotionTargets: [], demotionTargets: [2, 3] },
      { nodeId: 1, promotionTargets: [], demotionTargets: [3, 2] },
      { nodeId: 2, promotionTargets: [0, 1], demotionTargets: [] },
      { nodeId: 3, promotionTargets: [1, 0], demotionTargets: [] },
    ];
    const target = (there: number, resting: boolean) =>
      chooseTargets(
        input({ 0: { ...FULL, resting }, 1: { room: 64 * MIB }, 2: HOT, 3: { ...HOT, hot: there } }, paths),
      ).get(2)?.promotion?.nodeId;
    expect(target(60 * MIB, false)).toBe(0);
    expect(target(10 * MIB, false)).toBe(1);
    expect(target(60 * MIB, true)).toBe(1);
  });

  it('stays with the preferred node while hot memory is shared between the two', () => {
    expect(up({ 0: FULL, 1: EMPTY, 2: HOT }, true)).toEqual({ nodeId: 0 });
  });

  it.each([1, 32, 1024])('fills a node of %i GiB but for 1 % or a pass before it goes on', (gib) => {
    const totalBytes = gib * GIB;
    const hot = { totalBytes, room: totalBytes, hot: totalBytes / 4 };
    const next = (room: number) => up({ 0: { totalBytes, room }, 1: { totalBytes, room: totalBytes }, 2: hot })?.nodeId;
    expect(next(0.011 * totalBytes)).toBe(0);
    expect(next(Math.min(0.009 * totalBytes, totalBytes / 1024 - MIB, 500 * MIB))).toBe(1);
  });
});

describe('cold memory', () => {
  it('goes to the nearest node with room', () => {
    expect(down({ 0: FULL, 1: EMPTY, 2: EMPTY })).toEqual({ nodeId: 1 });
    expect(down({ 0: FULL, 1: FULL, 2: EMPTY })).toEqual({ nodeId: 2, why: 'to node 2, as node 1 has no room' });
  });

  it('stays where it went while the nearer node has a little room again', () => {
    expect(down({ 0: { ...FULL, demotedTo: 2 }, 1: { room: 15 * MIB }, 2: EMPTY })?.nodeId).toBe(2);
    expect(down({ 0: { ...FULL, demotedTo: 2 }, 1: { room: 30 * MIB }, 2: EMPTY })?.nodeId).toBe(1);
  });

  it('goes to the nearest node that can pass on what it has where none has room', () => {
    const paths: readonly MigrationPath[] = [
      { nodeId: 0, promotionTargets: [], demotionTargets: [1, 2, 3] },
      { nodeId: 1, promotionTargets: [0], demotionTargets: [] },
      { nodeId: 2, promotionTargets: [0], demotionTargets: [3] },
      { nodeId: 3, promotionTargets: [2, 0], demotionTargets: [] },
    ];
    const target = (room: number) =>
      chooseTargets(input({ 0: FULL, 1: FULL, 2: FULL, 3: { room } }, paths)).get(0)?.demotion;
    expect(target(5 * MIB)?.nodeId).toBe(2);
    expect(target(0)?.nodeId).toBe(1);
  });
});

describe('sixteen nodes', () => {
  const fast = Array.from({ length: 8 }, (_, index) => index);
  const slow = fast.map((nodeId) => nodeId + 8);
  const paths: readonly MigrationPath[] = [
    ...fast.map((nodeId) => ({ nodeId, promotionTargets: [], demotionTargets: slow })),
    ...slow.map((nodeId) => ({ nodeId, promotionTargets: fast, demotionTargets: [] })),
  ];

  it('all of one tier may go to the only one of the other with room', () => {
    const seen = Object.fromEntries(
      [...fast, ...slow].map((nodeId) => [nodeId, { ...(nodeId % 8 === 7 ? EMPTY : FULL), hot: GIB / 4 }]),
    );
    const targets = chooseTargets(input(seen, paths));
    for (const nodeId of fast) expect(targets.get(nodeId)?.demotion?.nodeId).toBe(15);
    for (const nodeId of slow) expect(targets.get(nodeId)?.promotion?.nodeId).toBe(7);
    expect(targets.get(8)?.promotion?.why).toBe('to node 7, as nodes 0, 1, 2, 3, 4, 5, 6 have no room');
  });

  it('targets change only after room has changed by as much as they need', () => {
    const anyRoom = fc.array(fc.integer({ min: 0, max: 60 }), { minLength: 16, maxLength: 16 });
    fc.assert(
      fc.property(
        anyRoom,
        fc.array(fc.integer({ min: -4, max: 4 }), { minLength: 16, maxLength: 16 }),
        (mib, change) => {
          const first = (nodeId: number) => ({ room: (mib[nodeId] ?? 0) * MIB, hot: GIB / 4 });
          const all = [...fast, ...slow];
          const chosen = chooseTargets(input(Object.fromEntries(all.map((id) => [id, first(id)])), paths));
          const later = (nodeId: number) => ({
            room: Math.max(0, (mib[nodeId] ?? 0) + (change[nodeId] ?? 0)) * MIB,
            hot: GIB / 4,
            promotedTo: chosen.get(nodeId)?.promotion?.nodeId ?? 0,
          });
          const next = chooseTargets(input(Object.fromEntries(all.map((id) => [id, later(id)])), paths));
          const present = chosen.get(8)?.promotion?.nodeId ?? 0;
          if (next.get(8)?.promotion?.nodeId === present) return;
          // It became too full, or a nearer one got plenty.
          const went = next.get(8)?.promotion?.nodeId ?? 0;
          const isFull = later(present).room < GIB / 100;
          expect(isFull || (went < present && later(went).room >= GIB / 50)).toBe(true);
        },
      ),
      { seed: 14 },
    );
  });
});

describe('the room of a target', () => {
  const paths: readonly MigrationPath[] = [
    { nodeId: 0, promotionTargets: [], demotionTargets: [2] },
    { nodeId: 1, promotionTargets: [], demotionTargets: [2] },
    { nodeId: 2, promotionTargets: [0, 1], demotionTargets: [] },
  ];

  it('is shared in proportion to what waits for it', () => {
    const around = input({ 0: FULL, 1: EMPTY, 2: { room: 90 * MIB, hot: 60 * MIB, promotedTo: 0 } }, paths);
    // Node 0 wants to be rid of twice as much, as it must keep twice as much free.
    const over = { ...around, keepFreeBytes: ({ nodeId }: NodeObservation) => [GIB, GIB, KEPT][nodeId] ?? 0 };
    const room = new SharedRoom(over, chooseTargets(over));
    const [first, second] = [room.shareOf(0, 0), room.shareOf(1, 0)];
    expect(first + second).toBeCloseTo(90 * MIB, 0);
    expect(first / second).toBeGreaterThan(1.9);
  });

  it('is never given out twice', () => {
    const around = input({ 0: FULL, 1: FULL, 2: { room: 90 * MIB } }, paths);
    const room = new SharedRoom(around, chooseTargets(around));
    expect(room.shareOf(0, 0)).toBe(90 * MIB);
    room.ordered(2, 70 * MIB);
    expect(room.shareOf(1, 0)).toBe(20 * MIB);
  });
});
