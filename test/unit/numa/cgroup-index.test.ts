import { rmdir } from 'node:fs/promises';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { CgroupIndex } from '../../../numa/cgroup-index.ts';
import { makeEmptyTree } from './page-maps/proc-tree.ts';
import type { Tree } from './tree.ts';

const MOUNT = '/sys/fs/cgroup';
/** How often the scope is looked at. */
const EVERY_MS = 5_000;

async function make(tree: Tree, ...paths: readonly string[]): Promise<void> {
  for (const path of paths) await tree.sysfs.makeDirectory(MOUNT + path);
}

test('what came and went since the last look is found, at any depth, also when as many came as went', async () => {
  const tree = await makeEmptyTree();
  await make(tree, '/a/b/c', '/a/d', '/z');
  const index = new CgroupIndex(tree.sysfs);
  expect(await index.below(['/z', '/a', '/a/b'])).toEqual(['/a', '/a/b', '/z', '/a/d', '/a/b/c']);
  await rmdir(join(tree.root, MOUNT, '/a/b/c'));
  await make(tree, '/a/b/new', '/z/new');
  expect(new Set(await index.below(['/a', '/z']))).toEqual(new Set(['/a', '/a/b', '/a/b/new', '/a/d', '/z', '/z/new']));
  await rmdir(join(tree.root, MOUNT, '/a/b/new'));
  await make(tree, '/a/b/new/below');
  expect(await index.below(['/a/b'])).toEqual(['/a/b', '/a/b/new', '/a/b/new/below']);
});

test('only what has changed is listed', async () => {
  const tree = await makeEmptyTree();
  await make(tree, '/a/b', '/a/c');
  const index = new CgroupIndex(tree.sysfs);
  await index.below(['/a']);
  const before = index.listed;
  await index.below(['/a']);
  expect(index.listed).toBe(before);
  await make(tree, '/a/c/d');
  await index.below(['/a']);
  expect(index.listed).toBe(before + 2);
});

test('what is not there is left out', async () => {
  const tree = await makeEmptyTree();
  expect(await new CgroupIndex(tree.sysfs).below(['/gone', '/'])).toEqual([]);
});

test.each([
  [10, 500],
  [2_500, 2],
])(
  'following 5,000 cgroups, %i with %i below each, takes less than a fiftieth of a core',
  { timeout: 60_000 },
  async (parents, below) => {
    const tree = await makeEmptyTree();
    for (let parent = 0; parent < parents; parent += 1) {
      await Promise.all(Array.from({ length: below - 1 }, (_, child) => make(tree, `/p${parent}/c${child}`)));
    }
    const index = new CgroupIndex(tree.sysfs);
    await index.below(['/']);
    const costs: number[] = [];
    for (let look = 0; look < 7; look += 1) {
      const before = process.cpuUsage();
      expect(await index.below(['/'])).toHaveLength(parents * below + 1);
      const { user, system } = process.cpuUsage(before);
      costs.push((user + system) / 1000);
    }
    // Other work on the machine only adds to it, and machines differ by a factor of two.
    expect(Math.min(...costs)).toBeLessThan(EVERY_MS / 50);
  },
);
