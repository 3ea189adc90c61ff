import { expect, test } from 'vitest';
import { FrameCgroups } from '../../../../numa/page-maps/frame-cgroups.ts';
import { SysFsError } from '../../../../numa/sysfs.ts';
import { makeEmptyTree, writeFrameCgroups } from './proc-tree.ts';

test('frames are counted by the cgroup they are charged to, also across reads and beyond 32 bits', async () => {
  const tree = await makeEmptyTree();
  const inodes = [7, 7, 2 ** 32 + 5, 0, 7, ...Array.from({ length: 20_000 }, () => 9)];
  await writeFrameCgroups(tree, new Map(inodes.map((inode, frame) => [100 + frame, inode])));
  const cgroups = await FrameCgroups.open(tree.root);
  try {
    expect(await cgroups.count([{ start: 100, end: 105 }])).toEqual(
      new Map([
        [7, 3],
        [2 ** 32 + 5, 1],
        [0, 1],
      ]),
    );
    const apart = [
      { start: 101, end: 103 },
      { start: 105, end: 20_105 },
    ];
    expect(await cgroups.count(apart)).toEqual(
      new Map([
        [7, 1],
        [2 ** 32 + 5, 1],
        [9, 20_000],
      ]),
    );
    // Beyond the end of memory there is nothing.
    expect(await cgroups.count([{ start: 20_100, end: 30_000 }])).toEqual(new Map([[9, 5]]));
  } finally {
    await cgroups.close();
  }
});

test('a kernel without the file is an error with its path', async () => {
  const { root } = await makeEmptyTree();
  await expect(FrameCgroups.open(root)).rejects.toThrow(SysFsError);
  await expect(FrameCgroups.open(root)).rejects.toThrow('/proc/kpagecgroup');
});
