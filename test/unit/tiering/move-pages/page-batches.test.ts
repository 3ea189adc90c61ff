import { describe, expect, test } from 'vitest';
import type { PageRun } from '../../../../numa/page-maps/page-maps.ts';
import type { BatchesOptions } from '../../../../tiering/move-pages/page-batches.ts';
import { BATCH_PAGES, batchPagesWithin, pageBatches } from '../../../../tiering/move-pages/page-batches.ts';

const anyPage = () => true;
const run = (pid: number, startPage: number, pages: number, huge = false): PageRun => ({
  pid,
  startPage,
  startFrame: 1_000_000 + startPage,
  pages,
  huge,
});
const batchesOf = async (
  runs: readonly PageRun[],
  budgetPages: number,
  mayMove = anyPage,
  options: BatchesOptions = {},
) => {
  const batches: { pid: number; pages: number[]; weights: number[] }[] = [];
  for await (const { pid, pages, weights } of pageBatches(runs, budgetPages, mayMove, options)) {
    batches.push({ pid, pages: [...pages], weights: [...weights] });
  }
  return batches;
};
const sizes = async (runs: readonly PageRun[], budgetPages: number, options: BatchesOptions = {}) =>
  (await batchesOf(runs, budgetPages, anyPage, options)).map(({ pages }) => pages.length);

describe('batches', () => {
  test('name the pages of runs in their order', async () => {
    expect(await batchesOf([run(1, 10, 3), run(1, 90, 1)], 100)).toEqual([
      { pid: 1, pages: [10, 11, 12, 90], weights: [1, 1, 1, 1] },
    ]);
  });

  test('are of one process each, gathered from neighbouring runs', async () => {
    const runs = [run(1, 10, 1), run(2, 20, 1), run(1, 11, 1)];
    expect((await batchesOf(runs, 100)).map(({ pid, pages }) => [pid, pages])).toEqual([
      [1, [10, 11]],
      [2, [20]],
    ]);
  });

  test('end with the budget, even in the middle of a run', async () => {
    expect(await sizes([run(1, 0, 1_000_000)], 10_000)).toEqual([BATCH_PAGES, BATCH_PAGES, 10_000 - 2 * BATCH_PAGES]);
  });

  test('take what comes later in place of pages that may not move', async () => {
    const [batch] = await batchesOf([run(1, 0, 10)], 3, (_pid?: number, page = 0) => page % 2 === 1);
    expect(batch?.pages).toEqual([1, 3, 5]);
  });

  test('name a huge page once, with the weight of all its pages', async () => {
    expect(await batchesOf([run(1, 512, 512, true), run(1, 1024, 1)], 513)).toEqual([
      { pid: 1, pages: [512, 1024], weights: [512, 1] },
    ]);
    expect(await batchesOf([run(1, 512, 512, true)], 1)).toEqual([{ pid: 1, pages: [512], weights: [512] }]);
  });

  test('move no more in a call than 16 MiB, or a huge page more', async () => {
    const huge = Array.from({ length: 20 }, (_, index) => run(1, index * 512, 512, true));
    expect(await sizes(huge, 20 * 512)).toEqual([8, 8, 4]);
  });

  test('are smaller where a smaller share of a core is allowed, down to 2 MiB', async () => {
    expect([1, 0.5, 0.01].map(batchPagesWithin)).toEqual([BATCH_PAGES, BATCH_PAGES / 2, 512]);
    expect(await sizes([run(1, 0, 10_000)], 2000, { batchPages: 512 })).toEqual([512, 512, 512, 464]);
  });

  test('are none when asked to stop, and are asked before pages are gathered', async () => {
    let asked = 0;
    const runs = [run(1, 0, 10 * BATCH_PAGES)];
    const options = { windowBatches: 1, mayGoOn: async () => ++asked <= 2 };
    const found: number[] = [];
    for await (const { pages } of pageBatches(runs, 10 * BATCH_PAGES, anyPage, options)) found.push(pages[0] ?? -1);
    expect(found).toEqual([0, BATCH_PAGES]);
  });

  test.each([
    ['pages that may not move', [run(1, 0, 2 ** 19)]],
    ['runs that were left out', new Array<undefined>(2 ** 19).fill(undefined)],
  ])('let others have the event loop while 2 GiB of %s are passed over', async (_what, runs) => {
    const turns = countTurns();
    // What a look at a ledger costs, and more.
    let sum = 0;
    const mayMove = (_pid: number, page: number) => {
      for (let i = 0; i < 100; i += 1) sum += i ^ page;
      return sum < 0;
    };
    function* slowly() {
      for (const one of runs) {
        if (one === undefined) mayMove(0, 0);
        yield one;
      }
    }
    const startedMs = performance.now();
    for await (const _ of pageBatches(slowly(), 100, mayMove)) throw new Error('nothing may move');
    const elapsedMs = performance.now() - startedMs;
    expect(turns()).toBeGreaterThan(elapsedMs / 20);
  });

  test('let others have the event loop between runs that take long to find', async () => {
    const turns = countTurns();
    function* slowly() {
      for (let found = 0; found < 20; found += 1) {
        for (const untilMs = performance.now() + 3; performance.now() < untilMs; );
        yield undefined;
      }
    }
    for await (const _ of pageBatches(slowly(), 100, anyPage)) throw new Error('there is nothing to move');
    expect(turns()).toBeGreaterThanOrEqual(19);
  });

  test('let others have the event loop while 8 GiB are taken by who waits for nothing, as in a dry run', async () => {
    const turns = countTurns();
    let pages = 0;
    const startedMs = performance.now();
    const batches = pageBatches([run(1, 0, 2 ** 21)], 2 ** 21, anyPage, { batchPages: 128 });
    for await (const batch of batches) pages += batch.pages.length;
    const elapsedMs = performance.now() - startedMs;
    expect(pages).toBe(2 ** 21);
    expect(turns()).toBeGreaterThan(elapsedMs / 20);
  });
});

/** Gives how often the event loop has come round since; ends the counting. */
function countTurns(): () => number {
  let turns = 0;
  let next = setImmediate(function turn() {
    turns += 1;
    next = setImmediate(turn);
  });
  return () => {
    clearImmediate(next);
    return turns;
  };
}
