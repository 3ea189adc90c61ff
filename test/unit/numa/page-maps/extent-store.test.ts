import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import type { PageRun, Window } from '../../../../numa/page-maps/extent-store.ts';
import { ExtentStore, WINDOW_BLOCKS, WINDOW_PAGES } from '../../../../numa/page-maps/extent-store.ts';
import { RunBuffer } from '../../../../numa/page-maps/pagemap-runs.ts';

const PAGE = 4096;
const MiB = 2 ** 20;
const range = (firstFrame: number, endFrame: number) => ({ start: firstFrame * PAGE, end: endFrame * PAGE });
const everywhere = [range(0, 2 ** 30)];

interface Run {
  readonly page: number;
  readonly frame: number;
  readonly pages: number;
  readonly huge?: boolean;
}

/** Fills the block anew with these runs, which must lie in it. */
function put(store: ExtentStore, window: Window, block: number, list: readonly Run[], hash = 1): void {
  const runs = new RunBuffer();
  for (const { page, frame, pages, huge = false } of list) {
    runs.push(page, frame, pages);
    runs.huge[runs.length - 1] = huge ? 1 : 0;
  }
  expect(store.void(window, block)).toBe(true);
  store.fill(window, block, runs, 0, runs.length, { pages: list.reduce((sum, { pages }) => sum + pages, 0), hash });
}

function open(store: ExtentStore, pid: number, number = 0): Window {
  const window = store.open(pid, number);
  if (window === undefined) throw new Error('no room for a window');
  return window;
}

function find(store: ExtentStore, wanted = everywhere, maxPages = 2 ** 40, pids?: ReadonlySet<number>): PageRun[] {
  return [...store.find(wanted, PAGE, maxPages, pids)].filter((run) => run !== undefined);
}

describe('finding', () => {
  test('gives the part of a run that lies in the range', () => {
    const store = new ExtentStore();
    put(store, open(store, 7), 0, [{ page: 100, frame: 5000, pages: 50 }]);
    expect(find(store, [range(5010, 5020)])).toEqual([
      { pid: 7, startPage: 110, startFrame: 5010, pages: 10, huge: false },
    ]);
    expect(find(store, [range(4000, 5000), range(5050, 6000)])).toEqual([]);
  });

  test('joins what is contiguous across blocks, windows and buckets', () => {
    const store = new ExtentStore();
    const last = WINDOW_BLOCKS - 1;
    const boundary = 2 ** 14;
    put(store, open(store, 7, 3), last, [{ page: 4 * WINDOW_PAGES - 300, frame: boundary - 100, pages: 300 }]);
    put(store, open(store, 7, 4), 0, [{ page: 4 * WINDOW_PAGES, frame: boundary + 200, pages: 512 }]);
    expect(find(store)).toEqual([
      { pid: 7, startPage: 4 * WINDOW_PAGES - 300, startFrame: boundary - 100, pages: 812, huge: false },
    ]);
  });

  test('follows the order of the ranges', () => {
    const store = new ExtentStore();
    put(store, open(store, 7), 0, [
      { page: 0, frame: 100, pages: 10 },
      { page: 10, frame: 300, pages: 10 },
    ]);
    const frames = find(store, [range(300, 310), range(100, 110)]).map(({ startFrame }) => startFrame);
    expect(frames).toEqual([300, 100]);
  });

  test('stops at the most that is asked for', () => {
    const store = new ExtentStore();
    put(store, open(store, 7), 0, [
      { page: 0, frame: 100, pages: 10 },
      { page: 10, frame: 300, pages: 10 },
    ]);
    expect(find(store, everywhere, 15).map(({ pages }) => pages)).toEqual([10, 5]);
    expect(find(store, everywhere, 0)).toEqual([]);
  });

  test('gives a shared page once, of a process that is asked for', () => {
    const store = new ExtentStore();
    put(store, open(store, 1), 0, [{ page: 0, frame: 100, pages: 10 }]);
    put(store, open(store, 2), 0, [{ page: 50, frame: 105, pages: 10 }]);
    expect(find(store)).toEqual([
      { pid: 1, startPage: 0, startFrame: 100, pages: 10, huge: false },
      { pid: 2, startPage: 55, startFrame: 110, pages: 5, huge: false },
    ]);
    expect(find(store, everywhere, 100, new Set([2]))).toEqual([
      { pid: 2, startPage: 50, startFrame: 105, pages: 10, huge: false },
    ]);
  });

  test('gives a huge page whole and once, to the range that has most of it', () => {
    const store = new ExtentStore();
    put(store, open(store, 7), 0, [{ page: 0, frame: 1024, pages: 512, huge: true }]);
    put(store, open(store, 8), 0, [{ page: 0, frame: 1024, pages: 512, huge: true }]);
    const whole = { pid: 7, startPage: 0, startFrame: 1024, pages: 512, huge: true };
    expect(find(store, [range(1000, 1200), range(1200, 3000)])).toMatchObject([{ ...whole, pid: expect.any(Number) }]);
    expect(find(store, [range(1000, 1200)])).toEqual([]);
    expect(find(store, [range(1100, 1110), range(1200, 1210)], 2 ** 40, new Set([7]))).toEqual([whole]);
  });

  test('passes over a huge page for which too little is left', () => {
    const store = new ExtentStore();
    put(store, open(store, 7), 0, [{ page: 0, frame: 1024, pages: 512, huge: true }]);
    put(store, open(store, 8), 0, [{ page: 0, frame: 4096, pages: 20 }]);
    expect(find(store, everywhere, 100)).toEqual([{ pid: 8, startPage: 0, startFrame: 4096, pages: 20, huge: false }]);
  });

  test('goes on rightly when the maps change between two steps', () => {
    const store = new ExtentStore();
    const window = open(store, 7);
    const list = Array.from({ length: 100 }, (_, i) => ({ page: i, frame: 1000 + 2 * i, pages: 1 }));
    put(store, window, 0, list);
    const steps = store.find(everywhere, PAGE, 2 ** 40, undefined);
    const found = [steps.next().value, steps.next().value];
    put(store, open(store, 8), 0, [
      { page: 0, frame: 1001, pages: 1 },
      { page: 1, frame: 1151, pages: 1 },
    ]);
    for (const _ of store.sweep());
    expect([...store.find([range(1151, 1152)], PAGE, 1, undefined)]).toHaveLength(1);
    found.push(...steps);
    const frames = found.map((run) => run?.startFrame);
    expect(new Set(frames).size).toBe(frames.length);
    expect(frames.filter((frame) => frame !== undefined && frame % 2 === 0)).toEqual(list.map(({ frame }) => frame));
    expect(frames).toContain(1151);
  });
});

test('a search that finds nothing lets who iterates draw breath after each 64 MiB', () => {
  const store = new ExtentStore();
  for (let bucket = 0; bucket < 8; bucket += 1) {
    put(store, open(store, 7, bucket), 0, [{ page: bucket * WINDOW_PAGES, frame: bucket * 2 ** 14, pages: 10 }]);
  }
  expect([...store.find(everywhere, PAGE, 2 ** 40, new Set([8]))]).toEqual(new Array(8).fill(undefined));
  const found = [...store.find(everywhere, PAGE, 2 ** 40, new Set([7]))];
  expect(found.map((run) => run?.startFrame)).toEqual(Array.from({ length: 8 }, (_, bucket) => bucket * 2 ** 14));
});

describe('what is void', () => {
  test('is not found, and can be filled again', () => {
    const store = new ExtentStore();
    const window = open(store, 7);
    put(store, window, 0, [{ page: 0, frame: 100, pages: 10 }]);
    put(store, window, 1, [{ page: 512, frame: 200, pages: 10 }]);
    expect(store.void(window, 0)).toBe(true);
    expect(find(store).map(({ startFrame }) => startFrame)).toEqual([200]);
    expect(store.pagesOf(7)).toBe(10);
    put(store, window, 0, [{ page: 0, frame: 900, pages: 10 }]);
    expect(find(store).map(({ startFrame }) => startFrame)).toEqual([200, 900]);
  });

  test('never comes back, however often the block is filled', () => {
    const store = new ExtentStore();
    let window = open(store, 7);
    for (let round = 0; round < 1000; round++) {
      if (!store.void(window, 0)) {
        store.close(window);
        window = open(store, 7);
      }
      put(store, window, 0, [{ page: 0, frame: 100 + round, pages: 1 }]);
      // Not swept: what was void before must stay it.
      if (round % 300 === 299) expect(find(store).map(({ startFrame }) => startFrame)).toEqual([100 + round]);
    }
    expect(store.pagesOf(7)).toBe(1);
  });

  test('is known to differ from what it held', () => {
    const store = new ExtentStore();
    const window = open(store, 7);
    put(store, window, 0, [{ page: 0, frame: 100, pages: 10 }], 99);
    expect(store.holds(window, 0, { pages: 10, hash: 99 })).toBe(true);
    store.void(window, 0);
    expect(store.holds(window, 0, { pages: 10, hash: 99 })).toBe(false);
  });
});

test('a closed window frees its memory and its slot', () => {
  const store = new ExtentStore();
  const empty = store.bytes;
  for (let round = 0; round < 50; round++) {
    const window = open(store, round);
    for (let block = 0; block < WINDOW_BLOCKS; block++) {
      put(store, window, block, [{ page: block * 512, frame: 1000 * block + round, pages: 300 }]);
    }
    store.close(window);
    expect(find(store)).toEqual([]);
    for (const _ of store.sweep());
    expect(window.slot).toBe(0);
  }
  expect(store.bytes - empty).toBeLessThan(4096);
});

test('finds what a plain list of pages would, whatever is filled, voided and closed', () => {
  const command = fc.record({
    pid: fc.integer({ min: 1, max: 3 }),
    block: fc.nat(2),
    action: fc.constantFrom('fill', 'fill', 'fill', 'void', 'close', 'sweep'),
    runs: fc.array(fc.record({ frame: fc.nat(400), pages: fc.integer({ min: 1, max: 40 }) }), { maxLength: 4 }),
  });
  const wanted = fc.tuple(fc.nat(420), fc.nat(60)).map(([first, size]) => range(16_200 + first, 16_200 + first + size));
  fc.assert(
    fc.property(fc.array(command, { maxLength: 25 }), wanted, (commands, asked) => {
      const store = new ExtentStore();
      const windows = new Map<number, Window>();
      const model = new Map<string, readonly Run[]>();
      for (const { pid, block, action, runs } of commands) {
        const window = windows.get(pid) ?? open(store, pid);
        windows.set(pid, window);
        if (action === 'sweep') for (const _ of store.sweep());
        if (action === 'void') {
          store.void(window, block);
          model.delete(`${pid} ${block}`);
        }
        if (action === 'close') {
          store.close(window);
          windows.delete(pid);
          for (let i = 0; i < 3; i++) model.delete(`${pid} ${i}`);
        }
        if (action === 'fill') {
          // Around frame 16384, where a bucket ends.
          const list = runs.map(({ frame, pages }, i) => ({
            page: block * 512 + i * 64,
            frame: 16_200 + frame,
            pages,
          }));
          put(store, window, block, list);
          model.set(`${pid} ${block}`, list);
        }
      }
      const frames = new Set<number>();
      const owners = new Set<string>();
      for (const [key, list] of model) {
        for (const { page, frame, pages } of list) {
          for (let i = 0; i < pages; i++) {
            if ((frame + i) * PAGE < asked.start || (frame + i) * PAGE >= asked.end) continue;
            frames.add(frame + i);
            owners.add(`${key.split(' ')[0]} ${page + i} ${frame + i}`);
          }
        }
      }
      const found = find(store, [asked]).flatMap(({ pid, startPage, startFrame, pages }) =>
        Array.from({ length: pages }, (_, i) => ({ pid, page: startPage + i, frame: startFrame + i })),
      );
      expect(found.map(({ frame }) => frame).sort((a, b) => a - b)).toEqual([...frames].sort((a, b) => a - b));
      for (const { pid, page, frame } of found) expect(owners).toContain(`${pid} ${page} ${frame}`);
    }),
  );
});

describe('memory for a mapped GiB', () => {
  const pagesPerGiB = 2 ** 18;

  function fillGiB(frameOf: (page: number) => number, pagesARun: number): ExtentStore {
    const store = new ExtentStore();
    for (let number = 0; number < pagesPerGiB / WINDOW_PAGES; number++) {
      const window = open(store, 7, number);
      for (let block = 0; block < WINDOW_BLOCKS; block++) {
        const first = number * WINDOW_PAGES + block * 512;
        const runs = Array.from({ length: 512 / pagesARun }, (_, i) => {
          const page = first + i * pagesARun;
          return { page, frame: frameOf(page), pages: pagesARun, huge: pagesARun === 512 };
        });
        put(store, window, block, runs);
      }
    }
    return store;
  }

  test('is 20 KiB at best', () => {
    expect(fillGiB((page) => page, 512).bytes).toBeLessThanOrEqual(20 * 1024);
  });

  test('is 2.6 MiB at worst, 2.1 MiB once it is in order', () => {
    // An odd factor visits every frame of 4 GiB before it repeats one.
    const store = fillGiB((page) => (page * 611_953) % 2 ** 20, 1);
    expect(store.bytes).toBeLessThanOrEqual(2.6 * MiB);
    for (const _ of store.find(everywhere, PAGE, 2 ** 40, undefined));
    expect(store.bytes).toBeLessThanOrEqual(2.1 * MiB);
    expect(store.bytes).toBeGreaterThan(2 * MiB);
  });
});
