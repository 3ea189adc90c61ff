import { expect, test } from 'vitest';
import { readBlocks } from '../../../../numa/page-maps/read-blocks.ts';
import type { Tree } from '../tree.ts';
import { makeEmptyTree, writeProcess } from './proc-tree.ts';

const frames = (first: number, count: number) => Array.from({ length: count }, (_, i) => first + i);

/** Runs of each block that was told of, as [first page, first frame, pages]. */
async function read(tree: Tree, pid: number, blocks: readonly number[]) {
  const told = new Map<number, number[][]>();
  await readBlocks(tree.sysfs, pid, blocks, (block, { startPage, startFrame, pages, length }) =>
    told.set(
      block,
      Array.from({ length }, (_, i) => [startPage[i] ?? 0, startFrame[i] ?? 0, pages[i] ?? 0]),
    ),
  );
  return Object.fromEntries(told);
}

test('blocks are told of by the frames that their pages lie in', async () => {
  const tree = await makeEmptyTree();
  await writeProcess(tree, 10, [
    { startPage: 500, frames: [...frames(5000, 20), undefined, 9000] },
    { startPage: 100 * 512, frames: frames(7000, 512) },
  ]);
  expect(await read(tree, 10, [0, 1, 100])).toEqual({
    0: [[500, 5000, 12]],
    1: [
      [512, 5012, 8],
      [521, 9000, 1],
    ],
    100: [[51_200, 7000, 512]],
  });
});

test('many neighbouring blocks take several reads', async () => {
  const tree = await makeEmptyTree();
  await writeProcess(tree, 10, [{ startPage: 0, frames: frames(1, 512 * 80) }]);
  const told = await read(
    tree,
    10,
    Array.from({ length: 80 }, (_, block) => block),
  );
  expect(Object.keys(told)).toHaveLength(80);
  expect(told[79]).toEqual([[512 * 79, 1 + 512 * 79, 512]]);
});

test('of a process that is gone nothing is told', async () => {
  expect(await read(await makeEmptyTree(), 10, [0])).toEqual({});
});
