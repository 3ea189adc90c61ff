import { describe, expect, it } from 'vitest';
import type { NodeObservation } from '../../../../tiering/observation.ts';
import { DEFAULT_POLICY } from '../../../../tiering/policy.ts';
import { levelsAround } from '../../../../tiering/tuner/levels-around.ts';
import { machine } from '../machines.ts';
import type { Heated } from './histograms.ts';
import { histogram } from './histograms.ts';

const MIB = 1024 * 1024;
const GIB = 1024 * MIB;

interface Seen {
  readonly totalBytes: number;
  readonly freeBytes?: number;
  readonly movableBytes?: number;
  readonly heat?: readonly Heated[];
}

function node(nodeId: number, { totalBytes, freeBytes = 0, movableBytes, heat }: Seen): [number, NodeObservation] {
  const observation = {
    nodeId,
    totalBytes,
    freeBytes,
    highWatermarkBytes: 0,
    promotedBytes: 0,
    demotedBytes: 0,
    promotionTriedBytes: 0,
    demotionTriedBytes: 0,
    ...(movableBytes !== undefined && { movableBytes }),
  };
  if (heat === undefined) return [nodeId, observation];
  const snapshot = { nodeId, takenAtMs: 0, maxNrAccesses: 10, aggregationIntervalMs: 500, regions: [] };
  return [nodeId, { ...observation, snapshot, heat: histogram(...heat) }];
}

/** So many DRAM nodes with an expander each, whose numbers follow theirs. */
function pairs(count: number, totalMiB: number) {
  const ids = Array.from({ length: count }, (_, index) => index);
  return machine(
    [
      ...ids.map((nodeId) => ({ nodeId, totalMiB, tier: 0 })),
      ...ids.map((index) => ({ nodeId: count + index, totalMiB, tier: 1 })),
    ],
    [
      ...ids.map((nodeId) => ({ nodeId, promotionTargets: [], demotionTargets: [count + nodeId] })),
      ...ids.map((index) => ({ nodeId: count + index, promotionTargets: [index], demotionTargets: [] })),
    ],
  );
}

describe.each([
  ['1 GiB', GIB],
  ['1 TiB', 1024 * GIB],
])('nodes of %s', (_, size) => {
  it.each([1, 16])('each of %i fast nodes has levels by its own memory and that below it', (count) => {
    const observed = new Map(
      Array.from({ length: count }, (_node, index) => {
        const hot = index % 2 === 0;
        return [
          node(index, { totalBytes: size, heat: [[size, hot ? 0.3 : 0]] }),
          node(count + index, { totalBytes: size, heat: [[size / 2, hot ? 0.8 : 0.1]] }),
        ];
      }).flat(),
    );
    const levels = levelsAround(observed, pairs(count, size / MIB), (from, to) => from - count === to, DEFAULT_POLICY);
    expect([...levels.keys()]).toEqual(Array.from({ length: count }, (_node, index) => index));
    for (const [nodeId, { isCrowded, hotFrom, exchange }] of levels) {
      expect(isCrowded).toBe(nodeId % 2 === 0);
      if (!isCrowded) continue;
      expect(hotFrom).toBeGreaterThan(3);
      expect(exchange.bytes).toBe(size / 2);
    }
  });

  it('several slow nodes below one compete for it', () => {
    const observed = new Map([
      node(0, { totalBytes: size, heat: [[size, 0]] }),
      node(1, { totalBytes: size, heat: [[size * 0.6, 0.5]] }),
      node(2, { totalBytes: size, heat: [[size * 0.6, 0.9]] }),
    ]);
    const topology = machine([0, 1, 2].map((nodeId) => ({ nodeId, totalMiB: size / MIB, tier: nodeId > 0 ? 1 : 0 })));
    const target = (from: number, to: number) => from > 0 && to === 0;
    expect(levelsAround(observed, topology, target, DEFAULT_POLICY).get(0)).toMatchObject({ isCrowded: true });
    observed.delete(2);
    expect(levelsAround(observed, topology, target, DEFAULT_POLICY).get(0)).toMatchObject({ isCrowded: false });
  });

  it('the kernel’s own memory holds nothing of programs, where it is known', () => {
    const topology = pairs(1, size / MIB);
    const levelsWith = (movableBytes: number | undefined) =>
      levelsAround(
        new Map([
          node(0, {
            totalBytes: size,
            heat: [
              [size / 2, 0],
              [size / 2, 0.2],
            ],
            ...(movableBytes !== undefined && { movableBytes }),
          }),
          node(1, { totalBytes: size, heat: [[size / 4, 0.8]] }),
        ]),
        topology,
        (from, to) => from === 1 && to === 0,
        DEFAULT_POLICY,
      ).get(0);
    expect(levelsWith(undefined)).toMatchObject({ isCrowded: false });
    expect(levelsWith(size)).toMatchObject({ isCrowded: false });
    const ofKernelMemory = levelsWith(size / 2);
    expect(ofKernelMemory).toMatchObject({ isCrowded: true });
    // Its half looks cold and makes no room; the other half is colder than what waits, and does.
    expect(ofKernelMemory?.exchange.bytes).toBe(size / 4);
  });
});

describe('what is not known', () => {
  const topology = pairs(2, 1024);
  const heat: readonly Heated[] = [[GIB, 0.5]];
  const target = (from: number, to: number) => from - 2 === to;

  it('a fast node that nobody has seen yet has no levels; another one has', () => {
    const observed = new Map([
      node(0, { totalBytes: GIB }),
      node(1, { totalBytes: GIB, heat }),
      node(2, { totalBytes: GIB, heat }),
      node(3, { totalBytes: GIB, heat }),
    ]);
    expect([...levelsAround(observed, topology, target, DEFAULT_POLICY).keys()]).toEqual([1]);
  });

  it('nor has one that nothing promotes into', () => {
    const observed = new Map([node(0, { totalBytes: GIB, heat }), node(1, { totalBytes: GIB, heat })]);
    expect(levelsAround(observed, topology, target, DEFAULT_POLICY).size).toBe(0);
  });

  it('a slow node without a snapshot counts for nothing, and the others count', () => {
    const observed = new Map([
      node(0, { totalBytes: GIB, heat }),
      node(2, { totalBytes: GIB }),
      node(1, { totalBytes: GIB, heat }),
      node(3, { totalBytes: GIB, heat }),
    ]);
    const levels = levelsAround(observed, topology, target, DEFAULT_POLICY);
    expect(levels.get(1)).toMatchObject({ isCrowded: true });
    expect(levels.get(0)?.exchange.bytes).toBe(0);
  });
});
