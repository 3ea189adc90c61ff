import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import type { PathCandidate } from '../../../numa/paths.ts';
import { migrationPaths } from '../../../numa/paths.ts';
import type { TierCandidate } from '../../../numa/tiers.ts';
import { arrangeTiers } from '../../../numa/tiers.ts';

type Node = TierCandidate & PathCandidate;

/** Nodes of a distance matrix; the first `sockets` have CPUs, the others are CXL memory. */
function nodesOf(matrix: readonly (readonly number[])[], sockets: number, latenciesNs: readonly number[] = []): Node[] {
  return matrix.map((row, nodeId) => {
    const readLatencyNs = latenciesNs[nodeId];
    return {
      nodeId,
      kind: nodeId < sockets ? 'dram' : 'cxl',
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

/** By node: its targets up and down, the preferred one first; empty lists are left out. */
function targets(nodes: readonly Node[], tiers = derive(nodes)): Record<number, { up?: number[]; down?: number[] }> {
  return Object.fromEntries(
    migrationPaths(nodes, tiers).map(({ nodeId, promotionTargets: up, demotionTargets: down }) => [
      nodeId,
      { ...(up.length > 0 && { up: [...up] }), ...(down.length > 0 && { down: [...down] }) },
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

  test('pair up on their own socket, with the other one for when that is full', () => {
    const pairs = { 0: { down: [2, 3] }, 1: { down: [3, 2] }, 2: { up: [0, 1] }, 3: { up: [1, 0] } };
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
  const crossed = { 0: { down: [3, 2] }, 1: { down: [2, 3] }, 2: { up: [1, 0] }, 3: { up: [0, 1] } };

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
    expect(targets(nodesOf(flat, 2))).toEqual({
      0: { down: [2, 3] },
      1: { down: [2, 3] },
      2: { up: [0, 1] },
      3: { up: [0, 1] },
    });
  });
});

describe('a host with SNC', () => {
  // Two sockets of two clusters, and an expander on each socket.
  const clusters = [
    [10, 12, 21, 21, 14, 24],
    [12, 10, 21, 21, 14, 24],
    [21, 21, 10, 12, 24, 14],
    [21, 21, 12, 10, 24, 14],
    [14, 14, 24, 24, 10, 26],
    [24, 24, 14, 14, 26, 10],
  ];

  test('prefers the clusters of the own socket, then those of the other', () => {
    expect(targets(nodesOf(clusters, 4))).toEqual({
      0: { down: [4, 5] },
      1: { down: [4, 5] },
      2: { down: [5, 4] },
      3: { down: [5, 4] },
      4: { up: [0, 1, 2, 3] },
      5: { up: [2, 3, 0, 1] },
    });
  });
});

describe('eight sockets with an expander each', () => {
  const socketOf = (nodeId: number) => nodeId % 8;
  const matrix = Array.from({ length: 16 }, (_, a) =>
    Array.from({ length: 16 }, (_, b) => {
      if (a === b) return 10;
      const hops = Math.abs(socketOf(a) - socketOf(b));
      return (Math.max(a, b) < 8 ? 20 : 14) + 4 * hops;
    }),
  );

  test('prefer their own expander, then those of the sockets next to them', () => {
    const found = targets(nodesOf(matrix, 8));
    expect(found[0]).toEqual({ down: [8, 9, 10, 11, 12, 13, 14, 15] });
    expect(found[3]?.down).toEqual([11, 10, 12, 9, 13, 8, 14, 15]);
    expect(found[15]).toEqual({ up: [7, 6, 5, 4, 3, 2, 1, 0] });
  });
});

describe('memory at two distances', () => {
  const near = [
    [10, 20, 30],
    [20, 10, 40],
    [30, 40, 10],
  ];

  test('makes three tiers, and a chain: the tier beyond comes last', () => {
    expect(targets(nodesOf(near, 1))).toEqual({ 0: { down: [1, 2] }, 1: { up: [0], down: [2] }, 2: { up: [1, 0] } });
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
    expect(targets(nodesOf(equal, 1, [100, 300, 250]))[0]).toEqual({ down: [2, 1] });
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
    expect(targets(measured(equal, 1, [100, 300, 250]))[0]).toEqual({ down: [2, 1] });
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
    expect(targets([dram, mixed, far])[0]).toEqual({ down: [1, 2] });
  });
});

describe('on any machine', () => {
  const machine = fc.integer({ min: 1, max: 16 }).chain((size) =>
    fc.record({
      matrix: fc.array(fc.array(fc.integer({ min: 11, max: 14 }), { minLength: size, maxLength: size }), {
        minLength: size,
        maxLength: size,
      }),
      sockets: fc.integer({ min: 0, max: size }),
      latencies: fc.array(fc.integer({ min: 80, max: 900 }), { maxLength: size }),
    }),
  );

  test('every node is in one tier, ranks are consecutive, and targets are all nodes of other tiers, tier by tier and nearest first', () => {
    fc.assert(
      fc.property(machine, ({ matrix, sockets, latencies }) => {
        const nodes = nodesOf(matrix, sockets, latencies);
        const tiers = derive(nodes);
        const rankOf = new Map(tiers.flatMap(({ rank, nodeIds }) => nodeIds.map((nodeId) => [nodeId, rank])));
        expect(tiers.flatMap(({ nodeIds }) => nodeIds).sort((a, b) => a - b)).toEqual(
          nodes.map(({ nodeId }) => nodeId),
        );
        expect(tiers.map(({ rank }) => rank)).toEqual([...tiers.keys()]);
        for (const { nodeId, promotionTargets, demotionTargets } of migrationPaths(nodes, tiers)) {
          const rank = rankOf.get(nodeId) ?? Number.NaN;
          const faster = tiers.filter((tier) => tier.rank < rank).flatMap(({ nodeIds }) => nodeIds);
          const slower = tiers.filter((tier) => tier.rank > rank).flatMap(({ nodeIds }) => nodeIds);
          expect([...promotionTargets].sort((a, b) => a - b)).toEqual(faster.sort((a, b) => a - b));
          expect([...demotionTargets].sort((a, b) => a - b)).toEqual(slower.sort((a, b) => a - b));
          for (const list of [promotionTargets, demotionTargets]) {
            // Tiers away first, then distance.
            const farness = list.map(
              (to) => Math.abs((rankOf.get(to) ?? Number.NaN) - rank) * 1000 + (matrix[nodeId]?.[to] ?? Number.NaN),
            );
            expect(farness).toEqual(farness.toSorted((a, b) => a - b));
          }
        }
      }),
    );
  });
});
