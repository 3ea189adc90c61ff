import { fileURLToPath } from 'node:url';
import { describe, expect, test } from 'vitest';
import { discoverTopology } from '../../../numa/discover.ts';
import { bootId } from '../../../numa/kernel-identity.ts';
import { readHighWatermarks, readNodeMemory, readPageSize } from '../../../numa/node-memory.ts';
import { rangesBytes } from '../../../numa/ranges.ts';
import { HostSysFs } from '../../../numa/sysfs.ts';
import { MiB } from './tree.ts';

/** A tree recorded from a guest. */
function recorded(name: string): HostSysFs {
  return new HostSysFs(fileURLToPath(new URL(`../../fixtures/${name}`, import.meta.url)));
}

const machines = ['6.1-numa2', '6.12-numa2', '7.3-numa2', '6.12-cxl', '7.3-cxl', '7.3-two-sockets', '7.3-three-tiers'];

describe.each(machines)('%s', (name) => {
  const sysfs = recorded(name);

  test('every node has ranges for all its memory, and they belong to no other node', async () => {
    const { nodes, rangeSource } = await discoverTopology(sysfs);
    expect(rangeSource).toBe('iomem');
    for (const node of nodes) {
      // The kernel keeps a part of System RAM for itself before MemTotal is counted.
      expect(rangesBytes(node.ranges)).toBeGreaterThanOrEqual(node.totalBytes);
      expect(rangesBytes(node.ranges)).toBeLessThan(node.totalBytes + 192 * MiB);
      expect(node.freeBytes).toBeLessThanOrEqual(node.totalBytes);
      expect(node.highWatermarkBytes).toBeGreaterThan(10 * MiB);
      expect(node.highWatermarkBytes).toBeLessThan(100 * MiB);
    }
    const all = nodes.flatMap(({ ranges }) => ranges).toSorted((a, b) => a.start - b.start);
    for (const [index, range] of all.entries()) expect(range.start).toBeGreaterThanOrEqual(all[index - 1]?.end ?? 0);
  });

  test('the readings of every tick agree with the topology', async () => {
    const { nodes } = await discoverTopology(sysfs);
    const memory = await readNodeMemory(
      sysfs,
      nodes.map(({ nodeId }) => nodeId),
    );
    const watermarks = await readHighWatermarks(sysfs);
    for (const { nodeId, totalBytes, freeBytes, highWatermarkBytes } of nodes) {
      expect(memory.get(nodeId)).toMatchObject({ totalBytes, freeBytes });
      expect(watermarks.get(nodeId)).toBe(highWatermarkBytes);
    }
    expect(await readPageSize(sysfs)).toBe(4096);
    expect(await bootId(sysfs)).toMatch(/^[0-9a-f-]{36}$/);
  });
});

describe('DRAM and a slower node told apart by HMAT', () => {
  test.each([
    ['6.12-numa2', 'kernel'],
    ['7.3-numa2', 'kernel'],
    // All nodes are in memory_tier4 there.
    ['6.1-numa2', 'derived'],
  ])('%s: two tiers, %s', async (name, tierSource) => {
    const topology = await discoverTopology(recorded(name));
    expect(topology).toMatchObject({
      tierSource,
      tiers: [
        { rank: 0, nodeIds: [0] },
        { rank: 1, nodeIds: [1] },
      ],
      paths: [
        { nodeId: 0, promotionTargets: [], demotionTargets: [1] },
        { nodeId: 1, promotionTargets: [0], demotionTargets: [] },
      ],
      nodes: [
        { kind: 'dram', cpus: [0, 1], performance: { readLatencyNs: 10, readBandwidthMiBps: 10240 } },
        { kind: 'memory-only', cpus: [], performance: { readLatencyNs: 50, readBandwidthMiBps: 5120 } },
      ],
    });
  });
});

describe('a CXL expander', () => {
  test.each(['6.12-cxl', '7.3-cxl'])('%s: is the slow tier, with its region and device', async (name) => {
    const topology = await discoverTopology(recorded(name));
    expect(topology.tiers.map(({ nodeIds }) => nodeIds)).toEqual([[0], [1]]);
    expect(topology.tierSource).toBe('kernel');
    const [, expander] = topology.nodes;
    expect(expander?.kind).toBe('cxl');
    expect(expander?.cxl).toEqual({
      region: 'region0',
      daxDevice: 'dax0.0',
      sizeBytes: 512 * MiB,
      interleaveWays: 1,
      interleaveGranularityBytes: 256,
      devices: [{ name: 'mem0', sizeBytes: 512 * MiB, serial: '0x0' }],
    });
    expect(expander).not.toHaveProperty('performance');
    expect(rangesBytes(expander?.ranges ?? [])).toBe(512 * MiB);
  });
});

describe('two sockets with an expander each', () => {
  test('pair up on their own socket', async () => {
    const topology = await discoverTopology(recorded('7.3-two-sockets'));
    expect(topology.tiers.map(({ nodeIds }) => nodeIds)).toEqual([
      [0, 1],
      [2, 3],
    ]);
    expect(topology.paths).toEqual([
      { nodeId: 0, promotionTargets: [], demotionTargets: [2, 3] },
      { nodeId: 1, promotionTargets: [], demotionTargets: [3, 2] },
      { nodeId: 2, promotionTargets: [0, 1], demotionTargets: [] },
      { nodeId: 3, promotionTargets: [1, 0], demotionTargets: [] },
    ]);
  });
});

describe('three tiers', () => {
  test('make a chain', async () => {
    const topology = await discoverTopology(recorded('7.3-three-tiers'));
    expect(topology.tiers.map(({ nodeIds }) => nodeIds)).toEqual([[0], [1], [2]]);
    expect(topology.paths).toEqual([
      { nodeId: 0, promotionTargets: [], demotionTargets: [1, 2] },
      { nodeId: 1, promotionTargets: [0], demotionTargets: [2] },
      { nodeId: 2, promotionTargets: [1, 0], demotionTargets: [] },
    ]);
  });
});
