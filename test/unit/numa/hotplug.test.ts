import { describe, expect, onTestFinished, test, vi } from 'vitest';
import { discoverTopology } from '../../../numa/discover.ts';
import type { HotplugOptions } from '../../../numa/hotplug.ts';
import { HotplugWatcher } from '../../../numa/hotplug.ts';
import type { SysFs } from '../../../numa/sysfs.ts';
import { HostSysFs } from '../../../numa/sysfs.ts';
import type { Topology } from '../../../numa/topology.ts';
import type { NodeSpec, Tree } from './tree.ts';
import { buildTree } from './tree.ts';

const dram: NodeSpec = { id: 0, cpus: '0-1', blocks: [0, 1, 2, 3] };
const expander: NodeSpec = { id: 1, blocks: [32, 33, 34, 35] };
const iomem =
  '00000000-1fffffff : System RAM\n100000000-11fffffff : CXL Window 0\n  100000000-11fffffff : System RAM (kmem)';

/** A watcher polled by hand, the changes it told, and the errors it logged. */
async function watch(tree: Tree, options: Partial<HotplugOptions> = {}, sysfs: SysFs = tree.sysfs) {
  const told: string[] = [];
  const topologies: Topology[] = [];
  const errors: string[] = [];
  const watcher = new HotplugWatcher(sysfs, {
    onChange: (topology, description) => {
      told.push(description);
      topologies.push(topology);
    },
    log: { info: () => {}, error: (_details, message) => errors.push(message) },
    intervalMs: 3_600_000,
    ...options,
  });
  watcher.start(await discoverTopology(tree.sysfs));
  onTestFinished(() => watcher.stop());
  await watcher.poll();
  await watcher.poll();
  return { watcher, told, topologies, errors };
}

/** Counts reads, to show what a poll costs. */
class CountingSysFs extends HostSysFs {
  reads: string[] = [];

  override async read(path: string): Promise<string> {
    this.reads.push(path);
    return super.read(path);
  }
}

describe('the hot-plug watcher', () => {
  test('says nothing while nothing changes', async () => {
    const { watcher, told } = await watch(await buildTree({ nodes: [dram, expander], iomem }));
    await watcher.poll();
    expect(told).toEqual([]);
  });

  test('tells that all memory of a node went offline, and that it is back', async () => {
    const tree = await buildTree({ nodes: [dram, expander], iomem });
    const { watcher, told, topologies } = await watch(tree);
    await tree.writeNodes([dram, { id: 1, offlineBlocks: [32, 33, 34, 35] }]);
    await watcher.poll();
    expect(told).toEqual(['node 1: 512 MiB of 512 MiB went offline; tiers changed from [0] > [1] to [0]']);
    expect(topologies[0]?.nodes.map(({ nodeId }) => nodeId)).toEqual([0]);
    await tree.writeNodes([dram, expander]);
    await watcher.poll();
    expect(told[1]).toBe('node 1: 512 MiB came online, 512 MiB now; tiers changed from [0] to [0] > [1]');
    expect(topologies[1]?.nodes).toHaveLength(2);
  });

  test('follows a CXL node that appears block by block', async () => {
    const tree = await buildTree({ nodes: [dram], iomem, possible: '0-1' });
    const { watcher, told } = await watch(tree);
    await tree.writeNodes([dram, { id: 1, offlineBlocks: [32, 33, 34, 35] }]);
    await watcher.poll();
    await tree.writeNodes([dram, { id: 1, blocks: [32], offlineBlocks: [33, 34, 35] }]);
    await watcher.poll();
    await tree.writeNodes([dram, expander]);
    await watcher.poll();
    expect(told).toEqual([
      'node 1: 128 MiB came online, 128 MiB now; tiers changed from [0] to [0] > [1]',
      'node 1: 384 MiB came online, 512 MiB now',
    ]);
  });

  test('tells of half a node that went offline', async () => {
    const tree = await buildTree({ nodes: [dram, expander], iomem });
    const { watcher, told } = await watch(tree);
    await tree.writeNodes([dram, { id: 1, blocks: [32, 35], offlineBlocks: [33, 34] }]);
    await watcher.poll();
    expect(told).toEqual(['node 1: 256 MiB of 512 MiB went offline']);
  });

  test('tells of CPUs, and of tiers the kernel rearranged', async () => {
    const tree = await buildTree({ nodes: [dram, expander], iomem, kernelTiers: { 4: '0', 22: '1' } });
    const { watcher, told } = await watch(tree);
    await tree.writeNodes([{ ...dram, cpus: '0' }, expander]);
    await watcher.poll();
    await tree.write('/sys/devices/virtual/memory_tiering/memory_tier3/nodelist', '1');
    await tree.remove('/sys/devices/virtual/memory_tiering/memory_tier22');
    await watcher.poll();
    expect(told).toEqual(['node 0: CPUs changed from 0-1 to 0', 'tiers changed from [0] > [1] to [1] > [0]']);
  });

  test('tells what changed between the first discovery and its start', async () => {
    const tree = await buildTree({ nodes: [dram, expander], iomem });
    const known = await discoverTopology(tree.sysfs);
    await tree.writeNodes([dram, { id: 1, blocks: [32], offlineBlocks: [33, 34, 35] }]);
    const onChange = vi.fn();
    const watcher = new HotplugWatcher(tree.sysfs, { onChange, log: { info: vi.fn(), error: vi.fn() } });
    watcher.start(known);
    await watcher.poll();
    await watcher.stop();
    expect(onChange).toHaveBeenCalledWith(expect.anything(), 'node 1: 384 MiB of 512 MiB went offline');
  });

  test('tells of a memory balloon once it took a tenth, and knows every total', async () => {
    const tree = await buildTree({ nodes: [dram], iomem });
    const { watcher, told } = await watch(tree);
    const inflate = async (totalMiB: number) => {
      await tree.writeNodes([{ ...dram, totalMiB }]);
      await watcher.poll();
    };
    await inflate(480);
    expect(told).toEqual([]);
    expect(watcher.topology?.nodes[0]?.totalBytes).toBe(480 * 2 ** 20);
    await inflate(450);
    expect(told).toEqual(['node 0: memory total changed from 512 MiB to 450 MiB']);
    await inflate(420);
    expect(told).toHaveLength(1);
  });

  test('reads no block states while nothing changes', async () => {
    const tree = await buildTree({ nodes: [dram, expander], iomem });
    const sysfs = new CountingSysFs(tree.root);
    const { watcher } = await watch(tree, {}, sysfs);
    sysfs.reads = [];
    await watcher.poll();
    expect(sysfs.reads).toContain('/sys/devices/system/node/node1/meminfo');
    expect(sysfs.reads.filter((path) => path.endsWith('/state'))).toEqual([]);
  });

  test('finds one block swapped for another by the regular full read', async () => {
    const tree = await buildTree({ nodes: [dram, expander], iomem });
    const half = { id: 1, blocks: [32, 33], offlineBlocks: [34, 35] };
    await tree.writeNodes([dram, half]);
    const { watcher, told } = await watch(tree, { fullReadEvery: 5 });
    await tree.writeNodes([dram, { id: 1, blocks: [32, 34], offlineBlocks: [33, 35] }]);
    for (let poll = 0; poll < 5; poll++) await watcher.poll();
    expect(told).toEqual(['node 1: 128 MiB of 256 MiB went offline; node 1: 128 MiB came online, 256 MiB now']);
  });

  test('logs a row of failures once, and goes on when files are back', async () => {
    const tree = await buildTree({ nodes: [dram, expander], iomem });
    const { watcher, told, errors } = await watch(tree);
    await tree.remove('/sys/devices/system/node/online');
    for (let poll = 0; poll < 3; poll++) await watcher.poll();
    expect(errors).toEqual(['cannot read the memory topology, trying again']);
    await tree.writeNodes([dram, { id: 1, blocks: [32, 33, 34], offlineBlocks: [35] }]);
    await watcher.poll();
    expect(told).toEqual(['node 1: 128 MiB of 512 MiB went offline']);
    expect(errors).toHaveLength(1);
  });

  test('survives a listener that fails', async () => {
    const tree = await buildTree({ nodes: [dram, expander], iomem });
    const { watcher, errors } = await watch(tree, { onChange: () => Promise.reject(new Error('no')) });
    await tree.writeNodes([dram, { id: 1, offlineBlocks: [32, 33, 34, 35] }]);
    await watcher.poll();
    expect(errors).toEqual(['cannot follow a change of the memory topology, trying again']);
  });

  test('tells a change again until it could be followed', async () => {
    const tree = await buildTree({ nodes: [dram, expander], iomem });
    const told: string[] = [];
    let fails = true;
    const { watcher, errors } = await watch(tree, {
      onChange: async (_, description) => {
        told.push(description);
        if (fails) throw new Error('EBUSY');
      },
    });
    await tree.writeNodes([dram, { id: 1, offlineBlocks: [32, 33, 34, 35] }]);
    for (let poll = 0; poll < 3; poll++) await watcher.poll();
    fails = false;
    for (let poll = 0; poll < 3; poll++) await watcher.poll();
    expect(told).toHaveLength(4);
    expect(new Set(told).size).toBe(1);
    expect(errors).toHaveLength(1);
  });

  test('polls by itself between start and stop', async () => {
    const tree = await buildTree({ nodes: [dram, expander], iomem });
    const { watcher, told } = await watch(tree, { intervalMs: 5 });
    await watcher.stop();
    watcher.start(await discoverTopology(tree.sysfs));
    await tree.writeNodes([dram, { id: 1, offlineBlocks: [32, 33, 34, 35] }]);
    await vi.waitFor(() => expect(told.join()).toContain('tiers changed'));
    await watcher.stop();
    const count = told.length;
    await tree.writeNodes([dram, expander]);
    await new Promise((resolve) => setTimeout(resolve, 40));
    expect(told).toHaveLength(count);
  });
});
