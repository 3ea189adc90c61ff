import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import type { PathCandidate } from '../../../numa/paths.ts';
import { migrationPaths } from '../../../numa/paths.ts';
import type { TierCandidate } from '../../../numa/tiers.ts';
import { arrangeTiers } from '../../../numa/tiers.ts';

type Node = TierCandidate & PathCandidate;

/** Nodes of a distance matrix; the first `sockets` have CPUs. */
function nodesOf(matrix: readonly (readonly number[])[], sockets: number, latenciesNs: readonly number[] = []): Node[] {
  return matrix.map((row, nodeId) => {
    const readLatencyNs = latenciesNs[nodeId];
    return {
      nodeId,
      kind: nodeId < sockets ? 'dram' : 'memory-only',
      distances: new Map(row.entries()),
      ...(readLatencyNs !== undefined && { performance: { source: 'hmat', readLatencyNs } }),
    };
  });
}

function derive(nodes: readonly Node[]) {
  const ids = nodes.map(({ nodeId }) => nodeId);
  return arrangeTiers(nodes, {
    kernel: [],
    possibleNodeIds: ids,
    cpuNodeIds: nodes.filter(({ kind }) => kind === 'dram').map(({ nodeId }) => nodeId),
  }).tiers;
}

function targets(nodes: readonly Node[], tiers = derive(nodes)): Record<number, { up?: number; down?: number }> {
  return Object.fromEntries(
    migrationPaths(nodes, tiers).map(({ nodeId, promotionTarget: up, demotionTarget: down }) => [
      nodeId,
      { ...(up !== undefined && { up }), ...(down !== undefined && { down }) },
    ]),
  );
}

const twoSocketsTwoExpanders = [
  [10, 21, 14, 24],
  [21, 10, 24, 14],
  [14, 24, 10, 26],
  [24, 14, 26, 10],
];

describe('two sockets with an expander each', () => {
  test('are two tiers', () => {
    expect(derive(nodesOf(twoSocketsTwoExpanders, 2))).toEqual([
      { rank: 0, nodeIds: [0, 1] },
      { rank: 1, nodeIds: [2, 3] },
    ]);
  });

  test('pair up on their own socket', () => {
    const pairs = { 0: { down: 2 }, 1: { down: 3 }, 2: { up: 0 }, 3: { up: 1 } };
    expect(targets(nodesOf(twoSocketsTwoExpanders, 2))).toEqual(pairs);
    // A socket whose own latency is a little lower must not draw the other's expander.
    expect(targets(nodesOf(twoSocketsTwoExpanders, 2, [100, 90, 250, 240]))).toEqual(pairs);
  });

  const flat = [
    [10, 21, 20, 20],
    [21, 10, 20, 20],
    [20, 20, 10, 20],
    [20, 20, 20, 10],
  ];
  const crossed = { 0: { down: 3 }, 1: { down: 2 }, 2: { up: 1 }, 3: { up: 0 } };

  test('pair up by the PCI bus of the device where hot-plug left every distance at its default', () => {
    const backing = (numaNode: number) => ({
      region: 'region0',
      sizeBytes: 1,
      interleaveWays: 1,
      devices: [{ name: 'mem0', sizeBytes: 1, numaNode }],
    });
    const [a, b, c, d] = nodesOf(flat, 2);
    if (!a || !b || !c || !d) throw new Error('four nodes');
    expect(targets([a, b, { ...c, cxl: backing(1) }, { ...d, cxl: backing(0) }])).toEqual(crossed);
  });

  test('pair up by the nearest CPUs of HMAT where the distances do not say', () => {
    const [a, b, c, d] = nodesOf(flat, 2);
    if (!a || !b || !c || !d) throw new Error('four nodes');
    const nearTo = (cpuNode: number) => ({ source: 'hmat' as const, readLatencyNs: 250, initiatorNodeIds: [cpuNode] });
    expect(targets([a, b, { ...c, performance: nearTo(1) }, { ...d, performance: nearTo(0) }])).toEqual(crossed);
  });

  test('take the lowest id when nothing tells the nodes apart', () => {
    expect(targets(nodesOf(flat, 2))).toEqual({ 0: { down: 2 }, 1: { down: 2 }, 2: { up: 0 }, 3: { up: 0 } });
  });
});

describe('memory at two distances', () => {
  const near = [
    [10, 20, 30],
    [20, 10, 40],
    [30, 40, 10],
  ];

  test('makes three tiers, and a chain', () => {
    expect(targets(nodesOf(near, 1))).toEqual({ 0: { down: 1 }, 1: { up: 0, down: 2 }, 2: { up: 1 } });
  });

  test('the order is that of the distances, not of the ids', () => {
    const far = [
      [10, 30, 20],
      [30, 10, 40],
      [20, 40, 10],
    ];
    expect(derive(nodesOf(far, 1)).map(({ nodeIds }) => nodeIds)).toEqual([[0], [2], [1]]);
  });
});

describe('memory at one distance', () => {
  const equal = [
    [10, 20, 20],
    [20, 10, 20],
    [20, 20, 10],
  ];

  test('is one tier while latencies are alike', () => {
    expect(derive(nodesOf(equal, 1, [100, 250, 300]))).toHaveLength(2);
    expect(derive(nodesOf(equal, 1))).toHaveLength(2);
  });

  test('is two tiers when one takes more than one and a half times as long', () => {
    expect(derive(nodesOf(equal, 1, [100, 500, 250])).map(({ nodeIds }) => nodeIds)).toEqual([[0], [2], [1]]);
  });

  test('the lower latency is the nearer target within one tier', () => {
    expect(targets(nodesOf(equal, 1, [100, 300, 250]))[0]).toEqual({ down: 2 });
  });
});

describe('two sockets and no other memory', () => {
  test('are one tier, as the kernel says', () => {
    const nodes = nodesOf(
      [
        [10, 21],
        [21, 10],
      ],
      2,
    );
    const arranged = arrangeTiers(nodes, { kernel: [[0, 1]], possibleNodeIds: [0, 1], cpuNodeIds: [0, 1] });
    expect(arranged).toEqual({ tiers: [{ rank: 0, nodeIds: [0, 1] }], source: 'kernel' });
  });
});

describe('measured latencies', () => {
  const pair = [
    [10, 20],
    [20, 10],
  ];

  function measured(matrix: readonly (readonly number[])[], sockets: number, latenciesNs: readonly number[]): Node[] {
    return nodesOf(matrix, sockets).map((node) => {
      const readLatencyNs = latenciesNs[node.nodeId];
      return readLatencyNs === undefined ? node : { ...node, performance: { source: 'probe', readLatencyNs } };
    });
  }

  function arrange(nodes: readonly Node[], kernel: readonly (readonly number[])[]) {
    const ids = nodes.map(({ nodeId }) => nodeId);
    return arrangeTiers(nodes, { kernel, possibleNodeIds: ids, cpuNodeIds: [0] });
  }

  test('make a node that takes 1.3 times as long a lower tier, even with CPUs, where the kernel has one tier or none', () => {
    const tiers = [
      { rank: 0, nodeIds: [0] },
      { rank: 1, nodeIds: [1] },
    ];
    for (const kernel of [[[0, 1]], []]) {
      expect(arrange(measured(pair, 2, [100, 130]), kernel)).toEqual({ tiers, source: 'derived' });
      expect(arrange(measured(pair, 2, [100, 129]), kernel).tiers).toHaveLength(1);
    }
  });

  test("do not overrule the kernel's order of two tiers", () => {
    const kernel = [[1], [0]];
    expect(arrange(measured(pair, 2, [100, 250]), kernel).tiers.map(({ nodeIds }) => nodeIds)).toEqual(kernel);
  });

  test('tell slow nodes at one distance apart from 1.3 times on', () => {
    const equal = [
      [10, 20, 20],
      [20, 10, 20],
      [20, 20, 10],
    ];
    expect(derive(measured(equal, 1, [100, 325, 250])).map(({ nodeIds }) => nodeIds)).toEqual([[0], [2], [1]]);
    expect(derive(measured(equal, 1, [100, 324, 250]))).toHaveLength(2);
    expect(targets(measured(equal, 1, [100, 300, 250]))[0]).toEqual({ down: 2 });
  });

  test("are not compared with firmware's", () => {
    const [fast, slow] = measured(pair, 2, [100, 400]);
    if (!fast || !slow) throw new Error('two nodes');
    const told: Node = { ...fast, performance: { source: 'hmat', readLatencyNs: 100 } };
    expect(derive([told, slow])).toHaveLength(1);
    const third = [
      [10, 20, 20],
      [20, 10, 20],
      [20, 20, 10],
    ];
    const [dram, near, far] = measured(third, 1, [100, 300, 250]);
    if (!dram || !near || !far) throw new Error('three nodes');
    const mixed: Node = { ...near, performance: { source: 'hmat', readLatencyNs: 900 } };
    expect(targets([dram, mixed, far])[0]).toEqual({ down: 1 });
  });
});

describe('on any machine', () => {
  const machine = fc.integer({ min: 1, max: 8 }).chain((size) =>
    fc.record({
      matrix: fc.array(fc.array(fc.integer({ min: 11, max: 14 }), { minLength: size, maxLength: size }), {
        minLength: size,
        maxLength: size,
      }),
      sockets: fc.integer({ min: 0, max: size }),
      latencies: fc.array(fc.integer({ min: 80, max: 900 }), { maxLength: size }),
    }),
  );

  test('every node is in one tier, ranks are consecutive, and targets lie exactly one tier away', () => {
    fc.assert(
      fc.property(machine, ({ matrix, sockets, latencies }) => {
        const nodes = nodesOf(matrix, sockets, latencies);
        const tiers = derive(nodes);
        const rankOf = new Map(tiers.flatMap(({ rank, nodeIds }) => nodeIds.map((nodeId) => [nodeId, rank])));
        expect(tiers.flatMap(({ nodeIds }) => nodeIds).sort()).toEqual(nodes.map(({ nodeId }) => nodeId));
        expect(tiers.map(({ rank }) => rank)).toEqual([...tiers.keys()]);
        for (const { nodeId, promotionTarget, demotionTarget } of migrationPaths(nodes, tiers)) {
          const rank = rankOf.get(nodeId) ?? Number.NaN;
          if (rank > 0) expect(rankOf.get(promotionTarget ?? -1)).toBe(rank - 1);
          else expect(promotionTarget).toBeUndefined();
          if (rank < tiers.length - 1) expect(rankOf.get(demotionTarget ?? -1)).toBe(rank + 1);
          else expect(demotionTarget).toBeUndefined();
        }
      }),
    );
  });
});
