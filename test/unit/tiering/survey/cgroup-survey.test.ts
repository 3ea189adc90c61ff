import { describe, expect, test } from 'vitest';
import { surveyCgroups } from '../../../../tiering/survey/cgroup-survey.ts';
import type { SlowFrames } from '../../../../tiering/survey/slow-frames.ts';
import { makeEmptyTree, writeFrameCgroups } from '../../numa/page-maps/proc-tree.ts';
import type { Tree } from '../../numa/tree.ts';
import { PAGE, slowFrames, snapshotOf } from './hot-machine.ts';

const HOT_FROM_1100 = slowFrames(
  snapshotOf(1, [
    [1000, 1100, 0],
    [1100, 1200, 10],
  ]),
);

const survey = (tree: Tree, slow: SlowFrames | undefined = HOT_FROM_1100) =>
  surveyCgroups({ sysfs: tree.sysfs, slow, pageBytes: PAGE, nowMs: () => 50 });

/** Cgroups with anonymous memory on node 0 and 1, in pages. */
async function hostWith(pages: Readonly<Record<string, readonly [number, number]>>): Promise<Tree> {
  const tree = await makeEmptyTree();
  await tree.write('/sys/fs/cgroup/cgroup.controllers', 'cpuset cpu io memory pids');
  for (const [path, [fast, slow]] of Object.entries(pages)) {
    await tree.write(`/sys/fs/cgroup${path}/cgroup.procs`, '');
    await tree.write(`/sys/fs/cgroup${path}/memory.numa_stat`, `anon N0=${fast * PAGE} N1=${slow * PAGE}`);
  }
  return tree;
}

async function inodeOf(tree: Tree, path: string): Promise<number> {
  const inode = await tree.sysfs.inode(`/sys/fs/cgroup${path}`);
  if (inode === undefined) throw new Error(`${path} is there`);
  return inode;
}

describe('a survey of cgroups', () => {
  test('says what they are charged with where, and charges hot frames to a cgroup and all above it', async () => {
    const tree = await hostWith({ '': [500, 90], '/a': [300, 80], '/a/b': [100, 60], '/c': [150, 10] });
    const inodes = { a: await inodeOf(tree, '/a'), b: await inodeOf(tree, '/a/b') };
    await writeFrameCgroups(
      tree,
      new Map(
        Array.from({ length: 200 }, (_, i) => {
          const frame = 1000 + i;
          return [frame, frame < 1140 ? inodes.b : frame < 1150 ? inodes.a : 0] as const;
        }),
      ),
    );
    expect(await survey(tree)).toEqual({
      takenAtMs: 50,
      isPartial: false,
      unchargedHotBytes: 50 * PAGE,
      cgroups: [
        placed('/', 500, 90, 50),
        placed('/a', 300, 80, 50),
        placed('/a/b', 100, 60, 40),
        placed('/c', 150, 10, 0),
      ],
    });
  });

  test('says nothing of hot memory where the kernel does not tell, or as long as it is not known', async () => {
    const tree = await hostWith({ '': [5, 5] });
    const unknown = { path: '/', sizeBytes: 10 * PAGE };
    for (const answer of [await survey(tree), await surveyCgroups({ ...options(tree), slow: undefined })]) {
      expect(answer.cgroups).toMatchObject([unknown]);
      expect(answer.cgroups[0]).not.toHaveProperty('hotOnSlowBytes');
      expect(answer).not.toHaveProperty('unchargedHotBytes');
    }
  });

  test('does not ask for owners of frames when none is hot', async () => {
    const tree = await hostWith({ '': [5, 5] });
    expect(await survey(tree, slowFrames(snapshotOf(1, [[1000, 1200, 0]])))).toMatchObject({
      unchargedHotBytes: 0,
      cgroups: [{ path: '/', hotOnSlowBytes: 0 }],
    });
  });

  test('leaves out cgroups without the memory controller, whose memory is charged to the one above', async () => {
    const tree = await hostWith({ '': [5, 5] });
    await tree.write('/sys/fs/cgroup/plain/cgroup.procs', '');
    expect((await survey(tree)).cgroups.map(({ path }) => path)).toEqual(['/']);
  });

  test('says why there are none on a host with cgroups of version 1', async () => {
    const tree = await makeEmptyTree();
    await tree.write('/sys/fs/cgroup/memory/cgroup.procs', '');
    await tree.write('/sys/fs/cgroup/memory/memory.numa_stat', 'total=9 N0=9\nanon=9 N0=9');
    expect(await survey(tree)).toEqual({
      takenAtMs: 50,
      isPartial: false,
      cgroups: [],
      problem: 'there are no cgroups of version 2 with the memory controller at /sys/fs/cgroup',
    });
  });
});

const options = (tree: Tree) => ({ sysfs: tree.sysfs, pageBytes: PAGE, nowMs: () => 50 });

function placed(path: string, fast: number, slow: number, hot: number) {
  return {
    path,
    sizeBytes: (fast + slow) * PAGE,
    nodes: [
      { nodeId: 0, sizeBytes: fast * PAGE },
      { nodeId: 1, sizeBytes: slow * PAGE, hotBytes: hot * PAGE },
    ],
    hotOnSlowBytes: hot * PAGE,
  };
}
