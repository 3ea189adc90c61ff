import { expect, test } from 'vitest';
import type { DiscoveryOptions } from '../../../numa/composition.ts';
import type { NodePerformance } from '../../../numa/topology.ts';
import { conflictsOf, diagnose } from '../../../tiering/doctor/diagnose.ts';
import type { Finding } from '../../../tiering/doctor/finding.ts';
import { gatherFacts } from '../../../tiering/doctor/gather.ts';
import type { Tree, TreeSpec } from '../numa/tree.ts';
import { buildTree } from '../numa/tree.ts';

const nothingKnown = { ownKdamondPids: [], features: undefined };

async function factsOf({ sysfs }: Tree, options: DiscoveryOptions = {}) {
  return gatherFacts(sysfs, nothingKnown, 'daemon', options);
}

async function findings(tree: Tree, options?: DiscoveryOptions): Promise<readonly Finding[]> {
  return diagnose(await factsOf(tree, options));
}

function withId(all: readonly Finding[], id: string): readonly Finding[] {
  return all.filter((finding) => finding.id === id);
}

function measured(latenciesNs: readonly number[]): ReadonlyMap<number, NodePerformance> {
  return new Map(latenciesNs.map((readLatencyNs, nodeId) => [nodeId, { source: 'probe', readLatencyNs }]));
}

/** Node 1 is CXL memory, and firmware tells latencies. */
function withCxl(kernelTiers: TreeSpec['kernelTiers'], latenciesNs: readonly [number, number]): TreeSpec {
  return {
    nodes: [
      { id: 0, cpus: '0-1', blocks: [0, 1, 2, 3], performance: { read_latency: `${latenciesNs[0]}` } },
      { id: 1, blocks: [32, 33], performance: { read_latency: `${latenciesNs[1]}` } },
    ],
    cxl: [
      {
        region: 'region0',
        targetNode: 1,
        startBlock: 32,
        blocks: 2,
        devices: [{ name: 'mem0', numaNode: 0 }],
        dax: 'dax0.0',
      },
    ],
    ...(kernelTiers && { kernelTiers }),
  };
}

test('kernel tiers that put CXL above DRAM are told, with what says so', async () => {
  const tree = await buildTree(withCxl({ 2: '1', 4: '0' }, [250, 100]));
  const facts = await factsOf(tree, { measured: measured([100, 250]) });
  const all = diagnose(facts);
  expect(withId(all, 'slow-kind-on-top')).toMatchObject([
    { severity: 'warning', title: expect.stringContaining('Node 1 is CXL memory') },
  ]);
  expect(withId(all, 'tier-order')).toMatchObject([
    { severity: 'warning', title: expect.stringContaining('tierd measured that it is slower') },
  ]);
  const [odds] = withId(all, 'figures-at-odds');
  expect(odds?.evidence.map(({ value }) => value)).toEqual([
    '250 ns',
    '100 ns',
    '100 ns (measured)',
    '250 ns (measured)',
  ]);
  expect(conflictsOf(facts).join('\n')).toContain('Node 1 is in a faster tier than node 0');
});

test('an order that firmware contradicts is told', async () => {
  const tree = await buildTree(withCxl({ 2: '1', 4: '0' }, [100, 250]));
  const [finding] = withId(await findings(tree), 'tier-order');
  expect(finding?.title).toContain('firmware says that it is slower');
  expect(finding?.evidence.map(({ value }) => value)).toEqual([
    'tier 0 has node 1, tier 1 node 0 (kernel)',
    '250 ns',
    '100 ns',
  ]);
});

test('an order that the operator chose is only a hint', async () => {
  const tree = await buildTree(withCxl(undefined, [100, 250]));
  const all = await findings(tree, { tiers: [[1], [0]] });
  expect(withId(all, 'tier-order')).toMatchObject([{ severity: 'info' }]);
});

test('tiers in order have nothing to tell', async () => {
  const tree = await buildTree(withCxl({ 4: '0', 22: '1' }, [100, 250]));
  const all = await findings(tree, { measured: measured([100, 250]) });
  expect(
    all.filter(({ id }) => ['slow-kind-on-top', 'tier-order', 'figures-at-odds', 'left-alone'].includes(id)),
  ).toEqual([]);
  expect(withId(all, 'tiers')).toMatchObject([{ severity: 'ok' }]);
});

test('the diagnosis goes by the configured tiers', async () => {
  const tree = await buildTree({
    nodes: [
      { id: 0, cpus: '0-1', blocks: [0, 1] },
      { id: 1, cpus: '2-3', blocks: [8, 9] },
    ],
  });
  expect(withId(await findings(tree), 'tiers')).toMatchObject([{ severity: 'error' }]);
  expect(withId(await findings(tree, { tiers: [[0], [1]] }), 'tiers')).toMatchObject([{ severity: 'ok' }]);
});

test('a node that is left alone is told with the line to configure', async () => {
  const tree = await buildTree({
    nodes: [
      { id: 0, cpus: '0-1', blocks: [0, 1] },
      { id: 1, blocks: [8, 9] },
    ],
  });
  expect(withId(await findings(tree), 'left-alone')).toMatchObject([
    { severity: 'warning', remedy: expect.stringContaining('tiers: [[0], [1]]') },
  ]);
});

test('an odd optional value is told', async () => {
  const tree = await buildTree(withCxl(undefined, [100, -1]));
  expect(withId(await findings(tree), 'odd-value')).toMatchObject([
    { severity: 'warning', title: expect.stringContaining('node1/access0/initiators/read_latency') },
  ]);
});

/** The region driver does not know of the memory; addresses in the window are System RAM since the boot. */
async function bootMemory(): Promise<Tree> {
  const tree = await buildTree({ nodes: withCxl(undefined, [100, 250]).nodes });
  await tree.write('/sys/bus/cxl/devices/mem0/ram/size', '0x10000000');
  return tree;
}

test('CXL memory that firmware made System RAM is not called unused', async () => {
  const tree = await bootMemory();
  await tree.write(
    '/proc/iomem',
    '00000000-1fffffff : System RAM\n100000000-10fffffff : CXL Window 0\n  100000000-10fffffff : System RAM',
  );
  const all = await findings(tree);
  expect(withId(all, 'cxl-no-region')).toEqual([]);
  expect(withId(all, 'cxl-firmware')).toMatchObject([{ severity: 'info' }]);
  expect(withId(all, 'cxl-firmware')[0]).not.toHaveProperty('remedy');
});

test('CXL memory whose decoder firmware has set up is not called unused', async () => {
  const tree = await bootMemory();
  await tree.link('/sys/bus/cxl/devices/endpoint2/uport', '../../../pci0000:0c/0000:0d:00.0/mem0');
  await tree.write('/sys/bus/cxl/devices/decoder2.0/size', '0x10000000');
  const all = await findings(tree);
  expect(withId(all, 'cxl-no-region')).toEqual([]);
  expect(withId(all, 'cxl-firmware')[0]?.evidence).toContainEqual({
    file: '/sys/bus/cxl/devices/decoder2.0/size',
    value: '0x10000000',
  });
});

test('a CXL device that nothing uses is told with the way to use it', async () => {
  const tree = await bootMemory();
  await tree.link('/sys/bus/cxl/devices/endpoint2/uport', '../../../pci0000:0c/0000:0d:00.0/mem0');
  await tree.write('/sys/bus/cxl/devices/decoder2.0/size', '0x0');
  expect(withId(await findings(tree), 'cxl-no-region')).toMatchObject([
    { severity: 'warning', remedy: expect.stringContaining('cxl create-region') },
  ]);
});

test('where addresses are hidden, nobody is told to make a region', async () => {
  const tree = await bootMemory();
  await tree.write('/proc/iomem', '00000000-00000000 : System RAM');
  expect(withId(await findings(tree), 'cxl-no-region')).toMatchObject([
    { severity: 'unseen', remedy: 'run it as root: sudo tierd doctor' },
  ]);
});
