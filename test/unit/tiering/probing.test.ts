import { expect, test } from 'vitest';
import { discoverTopology } from '../../../numa/discover.ts';
import { HotplugWatcher } from '../../../numa/hotplug.ts';
import { ProbeError } from '../../../numa/probe/errors.ts';
import type { Measure } from '../../../numa/probe/measurement.ts';
import type { SysFs } from '../../../numa/sysfs.ts';
import type { Quietly, RememberedProbe } from '../../../tiering/probing.ts';
import { Probing } from '../../../tiering/probing.ts';
import { buildTree, MiB } from '../numa/tree.ts';

/** Two nodes with CPUs, alike to the kernel; node 1 is slow. */
const MACHINE = {
  nodes: [
    { id: 0, cpus: '0-1', blocks: [0, 1, 2, 3] },
    { id: 1, cpus: '2-3', blocks: [8, 9, 10, 11] },
  ],
};

const measure: Measure = async ({ nodeId }) => ({
  readLatencyNs: nodeId === 0 ? 100 : 250,
  readBandwidthMiBps: 9000,
  writeBandwidthMiBps: 8000,
});

const atOnce: Quietly = (work) => work();
const never = new AbortController().signal;

interface Over {
  readonly measure?: Measure;
  readonly stored?: readonly RememberedProbe[];
  readonly save?: () => Promise<void>;
}

function probing(sysfs: SysFs, over: Over = {}) {
  const log: string[] = [];
  const note = (_: object, message: string) => void log.push(message);
  const logger = { debug: note, info: note, warn: note, error: note };
  const saved: (readonly RememberedProbe[])[] = [];
  const parts = {
    measure: over.measure ?? measure,
    load: async () => over.stored,
    save: over.save ?? (async (probes: readonly RememberedProbe[]) => void saved.push(probes)),
  };
  return { probing: new Probing(sysfs, parts, logger), saved, log, logger };
}

function remembered(nodeId: number, nodeMiB: number): RememberedProbe {
  return {
    nodeId,
    readLatencyNs: 300,
    readBandwidthMiBps: 5000,
    writeBandwidthMiBps: 4000,
    bufferBytes: 64 * MiB,
    initiatorNodeIds: [0],
    takenAt: '2026-11-23T05:00:00.000Z',
    nodeBytes: nodeMiB * MiB,
  };
}

test('what was measured makes tiers of nodes that are alike to the kernel', async () => {
  const { sysfs } = await buildTree(MACHINE);
  const { probing: probe } = probing(sysfs);
  expect((await discoverTopology(sysfs, { measured: probe.measured })).tiers).toHaveLength(1);
  const report = await probe.probe(atOnce, never);
  expect(report.nodes.map(({ nodeId, readLatencyNs }) => [nodeId, readLatencyNs])).toEqual([
    [0, 100],
    [1, 250],
  ]);
  const { tiers, tierSource, nodes, paths } = await discoverTopology(sysfs, { measured: probe.measured });
  expect(tiers.map(({ nodeIds }) => nodeIds)).toEqual([[0], [1]]);
  expect(tierSource).toBe('derived');
  expect(nodes[1]?.performance).toMatchObject({ source: 'probe', readLatencyNs: 250, initiatorNodeIds: [1] });
  expect(paths[1]).toEqual({ nodeId: 1, promotionTargets: [0], demotionTargets: [] });
});

test('nodes are measured when nothing else makes tiers of them, and once is enough', async () => {
  const { sysfs } = await buildTree(MACHINE);
  const { probing: probe, saved, log } = probing(sysfs);
  const discover = () => discoverTopology(sysfs, { measured: probe.measured });
  for (const _ of ['first', 'second']) {
    expect((await probe.discover(discover, never)).tiers.map(({ nodeIds }) => nodeIds)).toEqual([[0], [1]]);
  }
  expect(saved).toHaveLength(1);
  expect(log).toEqual(['nothing tells which of 2 memory nodes is slower: measuring them, some 2 s each']);
});

test('a node without CPUs is measured once when nothing tells where it belongs; a GPU is not', async () => {
  const { sysfs } = await buildTree({
    nodes: [
      { id: 0, cpus: '0-1', blocks: [0, 1, 2, 3] },
      { id: 1, blocks: [8, 9, 10, 11] },
      { id: 2, blocks: [16, 17, 18, 19] },
    ],
    iomem: '0-5fffffff : System RAM\n80000000-9fffffff : System RAM (NVIDIA)',
  });
  const { probing: probe, saved } = probing(sysfs);
  const discover = () => discoverTopology(sysfs, { measured: probe.measured });
  for (const _ of ['first', 'second']) {
    expect((await probe.discover(discover, never)).tiers.map(({ nodeIds }) => nodeIds)).toEqual([[0], [1]]);
  }
  expect(saved.map((probes) => probes.map(({ nodeId }) => nodeId))).toEqual([[0, 1]]);
});

test('nodes that are equally fast are measured once too, and have no tiers', async () => {
  const { sysfs } = await buildTree(MACHINE);
  const figures = { readLatencyNs: 100, readBandwidthMiBps: 9000, writeBandwidthMiBps: 8000 };
  const { probing: probe, saved } = probing(sysfs, { measure: async () => figures });
  const discover = () => discoverTopology(sysfs, { measured: probe.measured });
  for (const _ of ['first', 'second']) expect((await probe.discover(discover, never)).tiers).toHaveLength(1);
  expect(saved).toHaveLength(1);
});

test('nothing is measured where the operator says what the tiers are', async () => {
  const { sysfs } = await buildTree(MACHINE);
  const { probing: probe, saved } = probing(sysfs);
  await probe.discover(() => discoverTopology(sysfs, { tiers: [[0], [1]] }), never);
  expect(saved).toEqual([]);
});

test('when measuring fails, the topology is what it was', async () => {
  const { sysfs } = await buildTree(MACHINE);
  const { probing: probe, log } = probing(sysfs, {
    measure: () => Promise.reject(new Error('no koffi')),
  });
  expect((await probe.discover(() => discoverTopology(sysfs), never)).tiers).toHaveLength(1);
  expect(log.at(-1)).toBe('the memory nodes could not be measured');
});

test('figures that cannot be saved count all the same', async () => {
  const { sysfs } = await buildTree(MACHINE);
  const { probing: probe, log } = probing(sysfs, { save: () => Promise.reject(new Error('ENOSPC')) });
  expect((await probe.probe(atOnce, never)).nodes).toHaveLength(2);
  expect((await discoverTopology(sysfs, { measured: probe.measured })).tiers).toHaveLength(2);
  expect(log.at(-1)).toMatch(/^what was measured is not saved/);
});

test('a watcher that is told to read again tells of it, once', async () => {
  const { sysfs } = await buildTree(MACHINE);
  const { probing: probe, logger } = probing(sysfs);
  const told: string[] = [];
  const watcher = new HotplugWatcher(sysfs, {
    log: logger,
    intervalMs: 1_000_000,
    measured: probe.measured,
    onChange: (_, description) => void told.push(description),
  });
  watcher.start(await discoverTopology(sysfs));
  await probe.probe(atOnce, never);
  await watcher.reread();
  await watcher.reread();
  await watcher.stop();
  expect(told).toEqual([
    'node 0: measured 100 ns, 9000 MiB/s read, 8000 MiB/s written; ' +
      'node 1: measured 250 ns, 9000 MiB/s read, 8000 MiB/s written; tiers changed from [0-1] to [0] > [1]',
  ]);
});

test('each node is measured in quiet', async () => {
  const { sysfs } = await buildTree(MACHINE);
  const events: string[] = [];
  const { probing: probe } = probing(sysfs, {
    measure: async (request, signal) => {
      events.push(`node ${request.nodeId}`);
      return measure(request, signal);
    },
  });
  await probe.probe(async (work) => {
    events.push('quiet');
    const measurement = await work();
    events.push('noisy');
    return measurement;
  }, never);
  expect(events).toEqual(['quiet', 'node 0', 'noisy', 'quiet', 'node 1', 'noisy']);
});

test('a second probe is refused while one runs, and is welcome afterwards', async () => {
  const { sysfs } = await buildTree(MACHINE);
  const { probing: probe } = probing(sysfs);
  const first = probe.probe(atOnce, never);
  await expect(probe.probe(atOnce, never)).rejects.toMatchObject({ code: 'TIERD_PROBE_RUNNING' });
  await first;
  await expect(probe.probe(atOnce, never)).resolves.toHaveProperty('nodes');
});

test('a node that cannot be measured this time keeps what was measured before', async () => {
  const { sysfs } = await buildTree(MACHINE);
  const failsOnOne: Measure = async (request, signal) => {
    if (request.nodeId === 1) throw new ProbeError(1, 'pages lie elsewhere');
    return measure(request, signal);
  };
  const { probing: probe, saved, log } = probing(sysfs, { measure: failsOnOne, stored: [remembered(1, 512)] });
  await probe.restore();
  expect((await probe.probe(atOnce, never)).skipped).toEqual([{ nodeId: 1, reason: 'pages lie elsewhere' }]);
  expect(log).toEqual(['node not measured: pages lie elsewhere']);
  expect(probe.measured.get(1)?.readLatencyNs).toBe(300);
  expect(saved.at(-1)?.map(({ nodeId, nodeBytes }) => [nodeId, nodeBytes / MiB])).toEqual([
    [1, 512],
    [0, 512],
  ]);
});

test('after a restart figures count for nodes that are still the same', async () => {
  const { sysfs } = await buildTree(MACHINE);
  const stored = [remembered(0, 500), remembered(1, 1024), remembered(5, 512)];
  const { probing: probe, log } = probing(sysfs, { stored });
  await probe.restore();
  expect([...probe.measured.keys()]).toEqual([0]);
  expect(log).toHaveLength(2);
});

test('there may be none', async () => {
  const { sysfs } = await buildTree(MACHINE);
  const { probing: probe } = probing(sysfs);
  await probe.restore();
  expect(probe.measured.size).toBe(0);
});
