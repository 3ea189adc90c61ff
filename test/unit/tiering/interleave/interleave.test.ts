import { expect, test } from 'vitest';
import { HostSysFs, SysFsError } from '../../../../numa/sysfs.ts';
import type { MemoryNode, Topology } from '../../../../numa/topology.ts';
import { Interleave } from '../../../../tiering/interleave/interleave.ts';
import type { Tree } from '../../numa/tree.ts';
import { buildTree } from '../../numa/tree.ts';

const FOLDER = '/sys/kernel/mm/mempolicy/weighted_interleave';

/** Files that answer as the kernel's do: `auto` is told in words, and a weight can be refused. */
class KernelLikeSysFs extends HostSysFs {
  refusedPath = '';

  override async write(path: string, value: string): Promise<void> {
    if (path === this.refusedPath) throw new SysFsError('write', path, Object.assign(new Error(), { code: 'EINVAL' }));
    await super.write(path, path.endsWith('/auto') && value === '1\n' ? 'true\n' : value);
  }
}

function topology(...bandwidths: readonly number[]): Topology {
  const nodes = bandwidths.map((readBandwidthMiBps, nodeId): MemoryNode => {
    const rest = { cpus: [], totalBytes: 1, freeBytes: 1, highWatermarkBytes: 0, distances: new Map(), ranges: [] };
    return { nodeId, kind: 'dram', ...rest, performance: { source: 'hmat', readBandwidthMiBps } };
  });
  return { nodes, tiers: [], tierSource: 'kernel', paths: [] };
}

async function machine(files: Readonly<Record<string, string>>, known = topology(30_000, 10_000)) {
  const tree: Tree = await buildTree({ nodes: [{ id: 0, cpus: '0', blocks: [0] }] });
  for (const [name, text] of Object.entries(files)) await tree.write(`${FOLDER}/${name}`, text);
  const sysfs = new KernelLikeSysFs(tree.root);
  const file = async (name: string) => (await sysfs.read(`${FOLDER}/${name}`)).trim();
  return { sysfs, file, interleave: new Interleave(sysfs, () => known) };
}

test('reads weights by ascending node id, with a recommendation', async () => {
  const { interleave } = await machine({ node0: '5', node10: '2', node2: '1' });
  expect(await interleave.read()).toMatchObject({
    mode: 'manual',
    hasAuto: false,
    weights: [
      { nodeId: 0, weight: 5 },
      { nodeId: 2, weight: 1 },
      { nodeId: 10, weight: 2 },
    ],
    recommendation: { source: 'hmat' },
  });
});

test('tells that the kernel derives the weights', async () => {
  const { interleave } = await machine({ node0: '3', node1: '1', auto: 'true' });
  expect(await interleave.read()).toMatchObject({ mode: 'auto', hasAuto: true });
});

test('sets some weights and leaves the others', async () => {
  const { interleave, file } = await machine({ node0: '12', node1: '1' });
  const state = await interleave.set([{ nodeId: 0, weight: 4 }]);
  expect(state.weights.map(({ weight }) => weight)).toEqual([4, 1]);
  expect([await file('node0'), await file('node1')]).toEqual(['4', '1']);
});

test('sets what is recommended', async () => {
  const { interleave, file } = await machine({ node0: '1', node1: '1' });
  await interleave.set('recommended');
  expect([await file('node0'), await file('node1')]).toEqual(['3', '1']);
});

test('gives the weights back to the kernel: by auto, or 1 each where there is no auto', async () => {
  const older = await machine({ node0: '9', node1: '4' });
  await older.interleave.set('kernel');
  expect([await older.file('node0'), await older.file('node1')]).toEqual(['1', '1']);

  const newer = await machine({ node0: '9', node1: '4', auto: 'false' });
  expect(await newer.interleave.set('kernel')).toMatchObject({ mode: 'auto' });
  expect([await newer.file('node0'), await newer.file('node1')]).toEqual(['9', '4']);
});

test('when the kernel refuses one weight, those already written are put back', async () => {
  const { interleave, sysfs, file } = await machine({ node0: '2', node1: '1' });
  sysfs.refusedPath = `${FOLDER}/node1`;
  const weights = [7, 8].map((weight, nodeId) => ({ nodeId, weight }));
  await expect(interleave.set(weights)).rejects.toMatchObject({ code: 'TIERD_SYSFS', errno: 'EINVAL' });
  expect([await file('node0'), await file('node1')]).toEqual(['2', '1']);
});

test('weights of a node that the kernel has none for change nothing', async () => {
  const { interleave, file } = await machine({ node0: '2', node1: '1' });
  const weights = [0, 7].map((nodeId) => ({ nodeId, weight: 9 }));
  await expect(interleave.set(weights)).rejects.toMatchObject({ code: 'TIERD_INTERLEAVE_INVALID', nodeId: 7 });
  expect(await file('node0')).toBe('2');
});

test('nothing is recommended, and none set, while bandwidths are not known', async () => {
  const { interleave } = await machine({ node0: '2', node1: '1' }, topology());
  expect(await interleave.read()).not.toHaveProperty('recommendation');
  await expect(interleave.set('recommended')).rejects.toMatchObject({ code: 'TIERD_BANDWIDTH_UNKNOWN' });
});

test('a kernel without weighted interleaving is told, with the version that has it', async () => {
  const { interleave } = await machine({});
  await expect(interleave.read()).rejects.toThrow(/Linux 6\.9/);
  await expect(interleave.set('kernel')).rejects.toMatchObject({ code: 'TIERD_INTERLEAVE_UNAVAILABLE' });
});

test.each([
  ['node0', ''],
  ['node0', '-1'],
  ['node0', '256'],
  ['node0', 'many'],
  ['auto', 'perhaps'],
])('odd contents of %s, "%s", are refused by name', async (name, text) => {
  const { interleave } = await machine({ node0: '1', node1: '1', [name]: text });
  await expect(interleave.read()).rejects.toMatchObject({ code: 'TIERD_KERNEL_FORMAT', path: `${FOLDER}/${name}` });
});
