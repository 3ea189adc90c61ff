import { describe, expect, test } from 'vitest';
import type { PageRun } from '../../../../numa/page-maps/page-maps.ts';
import { BATCH_PAGES, pageBatches } from '../../../../tiering/move-pages/page-batches.ts';

const anyPage = () => true;
const run = (pid: number, startPage: number, pages: number, huge = false): PageRun => ({
  pid,
  startPage,
  startFrame: 1_000_000 + startPage,
  pages,
  huge,
});
const batchesOf = (runs: readonly PageRun[], budgetPages: number, mayMove = anyPage) =>
  [...pageBatches(runs, budgetPages, mayMove)].map(({ pid, pages, weights }) => ({
    pid,
    pages: [...pages],
    weights: [...weights],
  }));
const sizes = (runs: readonly PageRun[], budgetPages: number) =>
  batchesOf(runs, budgetPages).map(({ pages }) => pages.length);

describe('batches', () => {
  test('name the pages of runs in their order', () => {
    expect(batchesOf([run(1, 10, 3), run(1, 90, 1)], 100)).toEqual([
      { pid: 1, pages: [10, 11, 12, 90], weights: [1, 1, 1, 1] },
    ]);
  });

  test('are of one process each, gathered from neighbouring runs', () => {
    const runs = [run(1, 10, 1), run(2, 20, 1), run(1, 11, 1)];
    expect(batchesOf(runs, 100).map(({ pid, pages }) => [pid, pages])).toEqual([
      [1, [10, 11]],
      [2, [20]],
    ]);
  });

  test('end with the budget, even in the middle of a run', () => {
    expect(sizes([run(1, 0, 1_000_000)], 10_000)).toEqual([BATCH_PAGES, BATCH_PAGES, 10_000 - 2 * BATCH_PAGES]);
  });

  test('take what comes later in place of pages that may not move', () => {
    const [batch] = batchesOf([run(1, 0, 10)], 3, (_pid?: number, page = 0) => page % 2 === 1);
    expect(batch?.pages).toEqual([1, 3, 5]);
  });

  test('name a huge page once, with the weight of all its pages', () => {
    expect(batchesOf([run(1, 512, 512, true), run(1, 1024, 1)], 513)).toEqual([
      { pid: 1, pages: [512, 1024], weights: [512, 1] },
    ]);
    expect(batchesOf([run(1, 512, 512, true)], 1)).toEqual([{ pid: 1, pages: [512], weights: [512] }]);
  });

  test('move no more in a call than 16 MiB, or a huge page more', () => {
    const huge = Array.from({ length: 20 }, (_, index) => run(1, index * 512, 512, true));
    expect(sizes(huge, 20 * 512)).toEqual([8, 8, 4]);
  });
});
