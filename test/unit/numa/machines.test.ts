import { describe, expect, test } from 'vitest';
import { discoverTopology } from '../../../numa/discover.ts';
import { NumaUnavailableError } from '../../../numa/errors.ts';
import { nodesLeftAlone } from '../../../numa/left-alone.ts';
import { readHighWatermarks, readPageSize } from '../../../numa/node-memory.ts';
import type { Topology } from '../../../numa/topology.ts';
import { gatherFacts } from '../../../tiering/doctor/gather.ts';
import type { NodeSpec, TreeSpec } from './tree.ts';
import { buildTree, MiB } from './tree.ts';

const block = 128 * MiB;

function tiersOf({ tiers }: Topology): readonly (readonly number[])[] {
  return tiers.map(({ nodeIds }) => nodeIds);
}

function hmat(latencyNs: number, bandwidthMiBps?: number) {
  return {
    read_latency: `${latencyNs}`,
    ...(bandwidthMiBps !== undefined && { read_bandwidth: `${bandwidthMiBps}` }),
  };
}

/** A line of /proc/iomem for whole blocks. */
function ram(blocks: readonly number[], name = 'System RAM'): string {
  const [first = 0, last = first] = [blocks[0], blocks.at(-1)];
  return `${(first * block).toString(16)}-${((last + 1) * block - 1).toString(16)} : ${name}`;
}

/** Two sockets and the HBM of each as a node of its own. */
function xeonMax(dram: NodeSpec['performance'], hbm: NodeSpec['performance']): TreeSpec {
  const told = (performance: NodeSpec['performance']) => (performance === undefined ? {} : { performance });
  return {
    nodes: [
      { id: 0, cpus: '0-55', blocks: [0, 1], distances: [10, 21, 13, 23], ...told(dram) },
      { id: 1, cpus: '56-111', blocks: [8, 9], distances: [21, 10, 23, 13], ...told(dram) },
      { id: 2, blocks: [16, 17], distances: [13, 23, 10, 23], ...told(hbm) },
      { id: 3, blocks: [24, 25], distances: [23, 13, 23, 10], ...told(hbm) },
    ],
  };
}

describe('a Xeon Max in flat mode', () => {
  test('has its HBM as the fast tier, by the latency of firmware', async () => {
    const { sysfs } = await buildTree(xeonMax(hmat(110, 100_000), hmat(60, 400_000)));
    const topology = await discoverTopology(sysfs);
    expect(tiersOf(topology)).toEqual([
      [2, 3],
      [0, 1],
    ]);
    expect(topology.paths[0]).toMatchObject({ nodeId: 0, promotionTargets: [2, 3] });
  });

  test('has its HBM as the fast tier, by bandwidth where latencies are alike', async () => {
    const { sysfs } = await buildTree(xeonMax(hmat(110, 100_000), hmat(120, 400_000)));
    expect(tiersOf(await discoverTopology(sysfs))).toEqual([
      [2, 3],
      [0, 1],
    ]);
  });

  test.each([undefined, { 4: '0-3' }])(
    'leaves HBM alone while nobody knows its speed (kernel tiers %j)',
    async (kernelTiers) => {
      const spec = xeonMax(undefined, undefined);
      const { sysfs } = await buildTree({ ...spec, ...(kernelTiers && { kernelTiers }) });
      const topology = await discoverTopology(sysfs);
      expect(tiersOf(topology)).toEqual([[0, 1]]);
      expect(topology.tierSource).toBe('derived');
      expect(topology.paths.every(({ demotionTargets }) => demotionTargets.length === 0)).toBe(true);
      expect(nodesLeftAlone(topology)).toMatchObject([
        {
          nodeId: 2,
          reason: 'unknown-speed',
          tiersLine: 'tiers: [[0, 1], [2]]',
          message: expect.stringContaining('POST /v1/probe'),
        },
        { nodeId: 3, reason: 'unknown-speed' },
      ]);
    },
  );

  test('goes by what was measured where firmware tells nothing', async () => {
    const { sysfs } = await buildTree(xeonMax(undefined, undefined));
    const figures = (readLatencyNs: number) => ({ source: 'probe' as const, readLatencyNs });
    const of = (dram: number, hbm: number) =>
      new Map([0, 1, 2, 3].map((nodeId) => [nodeId, figures(nodeId < 2 ? dram : hbm)]));
    const measured = async (dram: number, hbm: number) =>
      tiersOf(await discoverTopology(sysfs, { measured: of(dram, hbm) }));
    expect(await measured(110, 60)).toEqual([
      [2, 3],
      [0, 1],
    ]);
    expect(await measured(100, 250)).toEqual([
      [0, 1],
      [2, 3],
    ]);
    expect(await measured(100, 110)).toEqual([[0, 1, 2, 3]]);
  });

  test('takes memory at distance 10 for as fast as its CPUs have', async () => {
    const { sysfs } = await buildTree({
      nodes: [
        { id: 0, cpus: '0-1', blocks: [0, 1], distances: [10, 10] },
        { id: 1, blocks: [8, 9], distances: [10, 10] },
      ],
    });
    expect(tiersOf(await discoverTopology(sysfs))).toEqual([[0, 1]]);
  });
});

describe("a Grace Hopper's GPU memory", () => {
  const machine: TreeSpec = {
    nodes: [
      { id: 0, cpus: '0-71', blocks: [0, 1, 2, 3], distances: [10, 80, 80], performance: hmat(100, 400_000) },
      { id: 1, blocks: [32, 33], distances: [80, 10, 80], performance: hmat(300, 200_000) },
      { id: 2, distances: [80, 80, 10] },
    ],
    iomem: [ram([0, 1, 2, 3]), ram([32, 33], 'System RAM (NVIDIA)')].join('\n'),
    pageSizeBytes: 65536,
  };

  test.each([undefined, { 4: '0', 22: '1' }])(
    'is no target, whatever its speed (kernel tiers %j)',
    async (kernelTiers) => {
      const { sysfs } = await buildTree({ ...machine, ...(kernelTiers && { kernelTiers }) });
      const topology = await discoverTopology(sysfs);
      expect(tiersOf(topology)).toEqual([[0]]);
      expect(topology.paths).toEqual([
        { nodeId: 0, promotionTargets: [], demotionTargets: [] },
        { nodeId: 1, promotionTargets: [], demotionTargets: [] },
      ]);
      expect(nodesLeftAlone(topology)).toMatchObject([
        { nodeId: 1, reason: 'device', message: expect.stringContaining('driver NVIDIA') },
      ]);
    },
  );

  test('is a target once it is named', async () => {
    const { sysfs } = await buildTree(machine);
    const topology = await discoverTopology(sysfs, { tiers: [[0], [1]] });
    expect(topology.paths[0]).toEqual({ nodeId: 0, promotionTargets: [], demotionTargets: [1] });
    expect(nodesLeftAlone(topology)).toEqual([]);
  });
});

test("kmem's memory is slow by kind, without any figure", async () => {
  const { sysfs } = await buildTree({
    nodes: [
      { id: 0, cpus: '0-1', blocks: [0, 1, 2, 3] },
      { id: 1, blocks: [32, 33] },
    ],
    iomem: [ram([0, 1, 2, 3]), ram([32, 33], 'System RAM (kmem)')].join('\n'),
  });
  const topology = await discoverTopology(sysfs);
  expect(topology.nodes[1]).toMatchObject({ kind: 'memory-only', driver: 'kmem' });
  expect(tiersOf(topology)).toEqual([[0], [1]]);
});

describe('sizes in pages', () => {
  test.each([4096, 16384, 65536])('are the same on pages of %d bytes', async (pageSizeBytes) => {
    const { sysfs } = await buildTree({
      nodes: [
        { id: 0, cpus: '0-1', blocks: [0, 1, 2, 3, 4, 5, 6, 7] },
        { id: 1, blocks: [32, 33, 34, 35, 36, 37, 38, 39] },
      ],
      kernelTiers: { 4: '0', 22: '1' },
      pageSizeBytes,
    });
    expect(await readPageSize(sysfs)).toBe(pageSizeBytes);
    expect((await readHighWatermarks(sysfs)).get(1)).toBe(1001 * pageSizeBytes);
    const { zones, topology } = await gatherFacts(sysfs, { ownKdamondPids: [], features: undefined }, 'daemon', {});
    expect(zones).toEqual([
      { nodeId: 0, movableBytes: 0, otherBytes: 1024 * MiB },
      { nodeId: 1, movableBytes: 0, otherBytes: 1024 * MiB },
    ]);
    expect(topology).toMatchObject({ nodes: [{ nodeId: 0 }, { nodeId: 1, highWatermarkBytes: 1001 * pageSizeBytes }] });
  });
});

describe('a kernel without what tierd reads', () => {
  const machine: TreeSpec = { nodes: [{ id: 0, cpus: '0', blocks: [0, 1] }] };

  test.each([
    ['/sys/devices/system/node', 'CONFIG_NUMA=y'],
    ['/sys/devices/system/memory', 'CONFIG_MEMORY_HOTPLUG=y'],
  ])('without %s is told the option %s', async (path, option) => {
    const tree = await buildTree(machine);
    await tree.remove(path);
    const discovery = discoverTopology(tree.sysfs);
    await expect(discovery).rejects.toThrow(NumaUnavailableError);
    await expect(discovery).rejects.toThrow(option);
  });
});

describe('an odd optional value', () => {
  const machine: TreeSpec = {
    nodes: [
      { id: 0, cpus: '0-1', blocks: [0, 1, 2, 3] },
      { id: 1, blocks: [32, 33] },
    ],
  };

  test.each([
    ['/sys/devices/system/node/node1/access0/initiators/read_latency', '-1'],
    ['/sys/devices/virtual/memory_tiering/memory_tier4/nodelist', '0;1'],
    ['/sys/bus/cxl/devices/region0/size', 'big'],
    ['/sys/bus/cxl/devices/mem0/numa_node', '-1'],
    ['/proc/iomem', 'System RAM'],
  ])('%s with "%s" counts as absent', async (path, text) => {
    const tree = await buildTree(machine);
    await tree.write(path, text);
    const { nodes, warnings = [] } = await discoverTopology(tree.sysfs);
    expect(nodes).toHaveLength(2);
    expect(nodes[1]).not.toHaveProperty('performance');
    const isTold = !path.endsWith('numa_node');
    expect(warnings).toEqual(isTold ? [expect.stringContaining(`cannot understand ${path}`)] : []);
  });

  test('does not hide the figures beside it', async () => {
    const tree = await buildTree({
      nodes: [
        { id: 0, cpus: '0-1', blocks: [0, 1], performance: { read_latency: '100' } },
        { id: 1, blocks: [32, 33], performance: { read_latency: '300', write_latency: '-1' } },
      ],
    });
    const topology = await discoverTopology(tree.sysfs);
    expect(tiersOf(topology)).toEqual([[0], [1]]);
    expect(topology.nodes[1]?.performance).toEqual({ source: 'hmat', readLatencyNs: 300 });
  });
});
