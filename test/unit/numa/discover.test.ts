import { describe, expect, test } from 'vitest';
import { discoverTopology } from '../../../numa/discover.ts';
import { KernelFormatError } from '../../../numa/errors.ts';
import { bootId } from '../../../numa/kernel-identity.ts';
import { readHighWatermarks, readNodeMemory, readPageSize } from '../../../numa/node-memory.ts';
import { HostSysFs, SysFsError } from '../../../numa/sysfs.ts';
import type { MemoryNode, Topology } from '../../../numa/topology.ts';
import type { NodeSpec } from './tree.ts';
import { buildTree, MiB } from './tree.ts';

const block = 128 * MiB;
const dram: NodeSpec = { id: 0, cpus: '0-1', blocks: [0, 1, 2, 3] };
const slow: NodeSpec = { id: 1, blocks: [32, 33] };

function node(topology: Topology, nodeId: number): MemoryNode {
  const found = topology.nodes.find((candidate) => candidate.nodeId === nodeId);
  if (found === undefined) throw new Error(`no node ${nodeId}`);
  return found;
}

function tiersOf(topology: Topology): readonly (readonly number[])[] {
  return topology.tiers.map(({ nodeIds }) => nodeIds);
}

/** Refuses the files that only a privileged reader may open. */
class AddresslessSysFs extends HostSysFs {
  override async read(path: string): Promise<string> {
    if (path === '/proc/iomem' || path.endsWith('/resource')) {
      throw new SysFsError('read', path, Object.assign(new Error('refused'), { code: 'EACCES' }));
    }
    return super.read(path);
  }
}

describe('a host of one node', () => {
  test('has one tier and nowhere to migrate to', async () => {
    const tree = await buildTree({ nodes: [dram], kernelTiers: { 4: '0' } });
    const topology = await discoverTopology(tree.sysfs);
    expect(tiersOf(topology)).toEqual([[0]]);
    expect(topology.tierSource).toBe('kernel');
    expect(topology.paths).toEqual([{ nodeId: 0, promotionTargets: [], demotionTargets: [] }]);
    expect(node(topology, 0)).toEqual({
      nodeId: 0,
      kind: 'dram',
      cpus: [0, 1],
      totalBytes: 512 * MiB,
      freeBytes: 256 * MiB,
      highWatermarkBytes: 1000 * 4096,
      distances: new Map([[0, 10]]),
      ranges: [{ start: 0, end: 4 * block }],
    });
  });
});

describe('memory without CPUs', () => {
  test('is the slower tier the kernel says it is', async () => {
    const tree = await buildTree({ nodes: [dram, slow], kernelTiers: { 4: '0', 45: '1' } });
    const topology = await discoverTopology(tree.sysfs);
    expect(topology.tierSource).toBe('kernel');
    expect(tiersOf(topology)).toEqual([[0], [1]]);
    expect(node(topology, 1).kind).toBe('memory-only');
    expect(topology.paths).toEqual([
      { nodeId: 0, promotionTargets: [], demotionTargets: [1] },
      { nodeId: 1, promotionTargets: [0], demotionTargets: [] },
    ]);
  });

  test('tiers are in the order of their numbers, not of their names', async () => {
    const tree = await buildTree({ nodes: [dram, slow], kernelTiers: { 22: '1', 4: '0' } });
    expect(tiersOf(await discoverTopology(tree.sysfs))).toEqual([[0], [1]]);
  });

  test.each([undefined, { 4: '0-1' }])(
    'is a slower tier where firmware says so (kernel tiers %j)',
    async (kernelTiers) => {
      const tree = await buildTree({
        nodes: [
          { ...dram, performance: { read_latency: '100' } },
          { ...slow, performance: { read_latency: '250' } },
        ],
        ...(kernelTiers && { kernelTiers }),
      });
      const topology = await discoverTopology(tree.sysfs);
      expect(topology.tierSource).toBe('derived');
      expect(tiersOf(topology)).toEqual([[0], [1]]);
    },
  );

  test('the tiers are derived while the kernel does not list a node that has memory', async () => {
    const tree = await buildTree({ nodes: [dram, slow, { id: 2, blocks: [64] }], kernelTiers: { 4: '0', 22: '1' } });
    expect((await discoverTopology(tree.sysfs)).tierSource).toBe('derived');
  });
});

describe('node ids', () => {
  test('may have gaps: distances belong to the online nodes in their order', async () => {
    const tree = await buildTree({
      nodes: [
        { ...dram, distances: [10, 17, 28], performance: { read_latency: '100' } },
        { ...slow, id: 2, distances: [17, 10, 28], performance: { read_latency: '250' } },
        { id: 5, blocks: [64], distances: [28, 28, 10], performance: { read_latency: '300' } },
      ],
    });
    const topology = await discoverTopology(tree.sysfs);
    expect(node(topology, 0).distances).toEqual(
      new Map([
        [0, 10],
        [2, 17],
        [5, 28],
      ]),
    );
    expect(tiersOf(topology)).toEqual([[0], [2], [5]]);
  });

  test('nodes without memory are left out, and their CPUs still tell what is near', async () => {
    const tree = await buildTree({
      nodes: [
        { id: 0, cpus: '0-1', distances: [10, 20, 30] },
        { ...slow, distances: [20, 10, 40], performance: { read_latency: '100' } },
        { id: 2, blocks: [64], distances: [30, 40, 10], performance: { read_latency: '250' } },
      ],
    });
    const topology = await discoverTopology(tree.sysfs);
    expect(topology.nodes.map(({ nodeId }) => nodeId)).toEqual([1, 2]);
    expect(tiersOf(topology)).toEqual([[1], [2]]);
  });
});

describe('a node that goes while its machine is read', () => {
  /** Node 1 goes between the list of nodes and the distances to them, as often as told. */
  class LeavingSysFs extends HostSysFs {
    departures: number;

    constructor(root: string, departures: number) {
      super(root);
      this.departures = departures;
    }

    override async read(path: string): Promise<string> {
      const gone = this.departures <= 0;
      if (path.endsWith('/node0/distance')) {
        this.departures -= 1;
        return gone ? super.read(path) : '10';
      }
      if (path.endsWith('/node/online')) return gone ? '0' : `0-1${' '.repeat(this.departures)}`;
      return super.read(path);
    }
  }

  test('is left out', async () => {
    const tree = await buildTree({ nodes: [dram] });
    const topology = await discoverTopology(new LeavingSysFs(tree.root, 1));
    expect(topology.nodes.map(({ nodeId }) => nodeId)).toEqual([0]);
  });

  test('is an error when it goes on without end', async () => {
    const tree = await buildTree({ nodes: [dram] });
    await expect(discoverTopology(new LeavingSysFs(tree.root, 99))).rejects.toThrow(
      'a distance for each of 2 online nodes',
    );
  });
});

describe('physical ranges', () => {
  test('are the online blocks, neighbours joined', async () => {
    const tree = await buildTree({ nodes: [dram, { id: 1, blocks: [32, 33, 36], offlineBlocks: [34, 35] }] });
    expect(node(await discoverTopology(tree.sysfs), 1).ranges).toEqual([
      { start: 32 * block, end: 34 * block },
      { start: 36 * block, end: 37 * block },
    ]);
  });

  test('are cut to System RAM', async () => {
    const tree = await buildTree({
      nodes: [dram],
      iomem: '00001000-0009fbff : System RAM\n00100000-1fffbfff : System RAM\n1fffc000-1fffffff : Reserved',
    });
    expect(node(await discoverTopology(tree.sysfs), 0).ranges).toEqual([
      { start: 0x1000, end: 0x9fc00 },
      { start: 0x100000, end: 0x1fffc000 },
    ]);
  });

  test('are whole blocks, and say so, where the kernel hides addresses from the unprivileged', async () => {
    const tree = await buildTree({
      nodes: [dram],
      iomem: '00000000-00000000 : System RAM\n  00000000-00000000 : Kernel code',
    });
    const topology = await discoverTopology(tree.sysfs);
    expect(topology.rangeSource).toBe('memory-blocks');
    expect(node(topology, 0).ranges).toEqual([{ start: 0, end: 4 * block }]);
  });

  test('a block that two nodes share is cut to what each has of it', async () => {
    const tree = await buildTree({
      nodes: [
        { id: 0, cpus: '0', blocks: [0, 1] },
        { id: 1, cpus: '1', blocks: [1, 2] },
      ],
    });
    const half = 1.5 * block;
    await tree.write(
      '/proc/zoneinfo',
      [
        { id: 0, start: 0, end: half },
        { id: 1, start: half, end: 3 * block },
      ]
        .map(({ id, start, end }) =>
          [
            `Node ${id}, zone Normal`,
            '  high 1',
            `  spanned ${(end - start) / 4096}`,
            `  managed ${(256 * MiB) / 4096}`,
            `  start_pfn: ${start / 4096}`,
          ].join('\n'),
        )
        .join('\n'),
    );
    const topology = await discoverTopology(tree.sysfs);
    expect(node(topology, 0).ranges).toEqual([{ start: 0, end: half }]);
    expect(node(topology, 1).ranges).toEqual([{ start: half, end: 3 * block }]);
  });

  test('a block that vanishes while it is looked at counts as offline', async () => {
    const tree = await buildTree({ nodes: [dram] });
    await tree.remove('/sys/devices/system/memory/memory3');
    expect(node(await discoverTopology(tree.sysfs), 0).ranges).toEqual([{ start: 0, end: 3 * block }]);
  });
});

describe('CXL memory', () => {
  const expander = {
    region: 'region0',
    targetNode: 1,
    startBlock: 32,
    blocks: 2,
    devices: [{ name: 'mem0', numaNode: 0 }],
  };

  test('is told by the region its dax device is made of', async () => {
    const tree = await buildTree({ nodes: [dram, slow], cxl: [{ ...expander, dax: 'dax0.0' }] });
    const topology = await discoverTopology(tree.sysfs);
    expect(node(topology, 0).kind).toBe('dram');
    expect(node(topology, 1)).toMatchObject({
      kind: 'cxl',
      ranges: [{ start: 32 * block, end: 34 * block }],
      cxl: {
        region: 'region0',
        daxDevice: 'dax0.0',
        sizeBytes: 2 * block,
        interleaveWays: 1,
        interleaveGranularityBytes: 256,
        devices: [{ name: 'mem0', sizeBytes: 2 * block, serial: '0x10', numaNode: 0 }],
      },
    });
  });

  test('names every device it is interleaved over', async () => {
    const devices = [
      { name: 'mem0', numaNode: 0 },
      { name: 'mem1', numaNode: 0 },
    ];
    const tree = await buildTree({ nodes: [dram, slow], cxl: [{ ...expander, devices, dax: 'dax0.0' }] });
    const { cxl } = node(await discoverTopology(tree.sysfs), 1);
    expect(cxl?.interleaveWays).toBe(2);
    expect(cxl?.devices.map(({ name, sizeBytes }) => [name, sizeBytes])).toEqual([
      ['mem0', block],
      ['mem1', block],
    ]);
  });

  test('is told by its addresses where the firmware made it plain memory', async () => {
    const tree = await buildTree({ nodes: [dram, slow], cxl: [expander] });
    const { kind, cxl } = node(await discoverTopology(tree.sysfs), 1);
    expect(kind).toBe('cxl');
    expect(cxl?.region).toBe('region0');
    expect(cxl).not.toHaveProperty('daxDevice');
  });

  test('is told by the CXL window where no CXL driver is loaded', async () => {
    const tree = await buildTree({ nodes: [dram, slow], cxl: [expander] });
    await tree.remove('/sys/bus/cxl');
    const { kind, cxl } = node(await discoverTopology(tree.sysfs), 1);
    expect(kind).toBe('cxl');
    expect(cxl).toBeUndefined();
  });

  test('is told without the privilege to read addresses', async () => {
    const tree = await buildTree({ nodes: [dram, slow], cxl: [{ ...expander, dax: 'dax0.0' }] });
    const topology = await discoverTopology(new AddresslessSysFs(tree.root));
    expect(topology.rangeSource).toBe('memory-blocks');
    expect(node(topology, 1)).toMatchObject({ kind: 'cxl', cxl: { region: 'region0', daxDevice: 'dax0.0' } });
  });

  test('may be several regions in one node', async () => {
    const tree = await buildTree({
      nodes: [dram, { id: 1, blocks: [32, 33, 34] }],
      cxl: [
        { ...expander, dax: 'dax0.0' },
        {
          ...expander,
          region: 'region1',
          startBlock: 34,
          blocks: 1,
          devices: [{ name: 'mem1', numaNode: 0 }],
          dax: 'dax1.0',
        },
      ],
    });
    const { cxl, furtherCxl } = node(await discoverTopology(tree.sysfs), 1);
    expect(cxl?.region).toBe('region0');
    expect(furtherCxl?.map(({ region, daxDevice }) => [region, daxDevice])).toEqual([['region1', 'dax1.0']]);
  });

  test('all of it offline leaves the node out, without an error', async () => {
    const tree = await buildTree({
      nodes: [dram, { id: 1, offlineBlocks: [32, 33] }],
      cxl: [{ ...expander, dax: 'dax0.0' }],
      kernelTiers: { 4: '0' },
    });
    const topology = await discoverTopology(tree.sysfs);
    expect(topology.nodes.map(({ nodeId }) => nodeId)).toEqual([0]);
    expect(topology.paths).toEqual([{ nodeId: 0, promotionTargets: [], demotionTargets: [] }]);
  });

  test('half of it offline counts for half', async () => {
    const tree = await buildTree({
      nodes: [dram, { id: 1, blocks: [33], offlineBlocks: [32] }],
      cxl: [{ ...expander, dax: 'dax0.0' }],
    });
    const cxlNode = node(await discoverTopology(tree.sysfs), 1);
    expect(cxlNode.kind).toBe('cxl');
    expect(cxlNode.totalBytes).toBe(block);
    expect(cxlNode.ranges).toEqual([{ start: 33 * block, end: 34 * block }]);
  });

  test('persistent memory with a region of the same name is not CXL', async () => {
    const tree = await buildTree({ nodes: [dram, slow] });
    const folder = 'devices/LNXSYSTM:00/ACPI0012:00/ndbus0/region0/dax0.1/dax0.0';
    await tree.write(`/sys/${folder}/target_node`, '1');
    await tree.link('/sys/bus/dax/devices/dax0.0', `../../../${folder}`);
    expect(node(await discoverTopology(tree.sysfs), 1).kind).toBe('memory-only');
  });

  test('a region in the making is no backing yet', async () => {
    const tree = await buildTree({ nodes: [dram, slow] });
    await tree.write('/sys/bus/cxl/devices/region0/size', '0x0');
    await tree.write('/sys/bus/cxl/devices/region0/resource', '0xffffffffffffffff');
    expect(node(await discoverTopology(tree.sysfs), 1).kind).toBe('memory-only');
  });
});

describe('performance figures', () => {
  const performance = { read_latency: '50', write_latency: '55', read_bandwidth: '5120', write_bandwidth: '4096' };

  test('come with units and the CPUs they hold for', async () => {
    const tree = await buildTree({ nodes: [dram, { ...slow, performance, initiators: [0] }] });
    expect(node(await discoverTopology(tree.sysfs), 1).performance).toEqual({
      source: 'hmat',
      readLatencyNs: 50,
      writeLatencyNs: 55,
      readBandwidthMiBps: 5120,
      writeBandwidthMiBps: 4096,
      initiatorNodeIds: [0],
    });
  });

  test('those seen from CPUs are preferred to those seen from any initiator', async () => {
    const tree = await buildTree({ nodes: [dram, { ...slow, performance, accessClass: 'access1' }] });
    await tree.write('/sys/devices/system/node/node1/access0/initiators/read_latency', '7');
    expect(node(await discoverTopology(tree.sysfs), 1).performance?.readLatencyNs).toBe(50);
  });

  test('a zero means that the firmware does not say', async () => {
    const zero = { ...performance, read_latency: '0', write_latency: '0' };
    const tree = await buildTree({ nodes: [dram, { ...slow, performance: zero }] });
    expect(node(await discoverTopology(tree.sysfs), 1).performance).toEqual({
      source: 'hmat',
      readBandwidthMiBps: 5120,
      writeBandwidthMiBps: 4096,
    });
  });

  test('that were measured are told, and count where firmware is silent', async () => {
    const tree = await buildTree({ nodes: [{ ...dram, performance, initiators: [0] }, slow] });
    const probed = { source: 'probe', readLatencyNs: 321 } as const;
    const topology = await discoverTopology(tree.sysfs, {
      measured: new Map([
        [0, probed],
        [1, probed],
        [7, probed],
      ]),
    });
    expect(node(topology, 0).performance).toMatchObject({ source: 'hmat', readLatencyNs: 50 });
    expect(node(topology, 0).measured).toEqual(probed);
    expect(node(topology, 1)).toMatchObject({ performance: probed, measured: probed });
  });

  test('are absent without HMAT', async () => {
    const tree = await buildTree({ nodes: [dram, slow] });
    expect(node(await discoverTopology(tree.sysfs), 1)).not.toHaveProperty('performance');
  });
});

describe('configured tiers', () => {
  test("override the kernel's", async () => {
    const tree = await buildTree({ nodes: [dram, slow], kernelTiers: { 4: '0', 22: '1' } });
    const topology = await discoverTopology(tree.sysfs, { tiers: [[1], [0]] });
    expect(topology.tierSource).toBe('configured');
    expect(tiersOf(topology)).toEqual([[1], [0]]);
    expect(topology.paths).toEqual([
      { nodeId: 0, promotionTargets: [1], demotionTargets: [] },
      { nodeId: 1, promotionTargets: [], demotionTargets: [0] },
    ]);
  });

  test('leave nodes they do not name out of tiering', async () => {
    const tree = await buildTree({ nodes: [dram, slow, { id: 2, blocks: [64] }] });
    const topology = await discoverTopology(tree.sysfs, { tiers: [[0], [2]] });
    expect(topology.nodes).toHaveLength(3);
    expect(topology.paths).toEqual([
      { nodeId: 0, promotionTargets: [], demotionTargets: [2] },
      { nodeId: 1, promotionTargets: [], demotionTargets: [] },
      { nodeId: 2, promotionTargets: [0], demotionTargets: [] },
    ]);
  });

  test('may name a node whose memory is not there yet', async () => {
    const tree = await buildTree({ nodes: [dram], possible: '0-1' });
    expect(tiersOf(await discoverTopology(tree.sysfs, { tiers: [[0], [1]] }))).toEqual([[0]]);
  });

  test.each([
    [[[0], [7]], 'TIERD_TIERS_UNKNOWN_NODE', 'tier 1 names node 7, which this machine does not have'],
    [[[0], [1, 0]], 'TIERD_TIERS_DUPLICATE_NODE', 'name node 0 twice'],
    [[[0], []], 'TIERD_TIERS_EMPTY', 'tier 1 names no node'],
    [[], 'TIERD_TIERS_EMPTY', 'empty list'],
  ])('%j is refused with %s', async (tiers, code, message) => {
    const tree = await buildTree({ nodes: [dram, slow] });
    const discovery = discoverTopology(tree.sysfs, { tiers });
    await expect(discovery).rejects.toMatchObject({ name: 'TierConfigurationError', code });
    await expect(discovery).rejects.toThrow(message);
  });
});

describe('contents nobody expects', () => {
  test.each([
    ['/sys/devices/system/node/online', '0-'],
    ['/sys/devices/system/node/node0/cpulist', 'all'],
    ['/sys/devices/system/node/node1/distance', 'near'],
    ['/sys/devices/system/node/node1/distance', '10'],
    ['/sys/devices/system/node/node1/meminfo', 'Node 1 MemTotal: lots'],
    ['/sys/devices/system/memory/block_size_bytes', '128M'],
    ['/proc/zoneinfo', 'no zones'],
  ])('%s with "%s" is refused with file and value', async (path, text) => {
    const tree = await buildTree({ nodes: [dram, slow] });
    await tree.write(path, text);
    const discovery = discoverTopology(tree.sysfs);
    await expect(discovery).rejects.toThrow(KernelFormatError);
    await expect(discovery).rejects.toMatchObject({ code: 'TIERD_KERNEL_FORMAT', path, value: text });
  });
});

describe('readings of every tick', () => {
  test('give memory of the nodes asked for, and skip one that is gone', async () => {
    const tree = await buildTree({ nodes: [dram, slow] });
    expect(await readNodeMemory(tree.sysfs, [0, 1, 9])).toEqual(
      new Map([
        [0, { totalBytes: 512 * MiB, freeBytes: 256 * MiB }],
        [1, { totalBytes: 256 * MiB, freeBytes: 128 * MiB }],
      ]),
    );
  });

  test('count watermarks in pages of the size the kernel has', async () => {
    const tree = await buildTree({ nodes: [dram, slow], pageSizeBytes: 65536 });
    expect(await readPageSize(tree.sysfs)).toBe(65536);
    expect(await readHighWatermarks(tree.sysfs)).toEqual(
      new Map([
        [0, 1000 * 65536],
        [1, 1001 * 65536],
      ]),
    );
  });

  test('the boot id tells one boot from another', async () => {
    const tree = await buildTree({ nodes: [dram] });
    await tree.write('/proc/sys/kernel/random/boot_id', '5bd6e8ac-2a4e-4c5c-9d3e-0c3a8a3c9a01');
    expect(await bootId(tree.sysfs)).toBe('5bd6e8ac-2a4e-4c5c-9d3e-0c3a8a3c9a01');
  });
});
