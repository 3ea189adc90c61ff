import { describe, expect, test } from 'vitest';
import { PageMapsUnavailableError } from '../../../../numa/page-maps/errors.ts';
import { READ_PAGES } from '../../../../numa/page-maps/page-files.ts';
import type { PageMapsOptions, RefreshOptions } from '../../../../numa/page-maps/page-maps.ts';
import { PageMaps } from '../../../../numa/page-maps/page-maps.ts';
import { HostSysFs, SysFsError } from '../../../../numa/sysfs.ts';
import type { Tree } from '../tree.ts';
import { makeEmptyTree, statLine, writeFlags, writeProcess } from './proc-tree.ts';

const PAGE = 4096;
const range = (firstFrame: number, endFrame: number) => ({ start: firstFrame * PAGE, end: endFrame * PAGE });
const everywhere = [range(0, 2 ** 30)];
const frames = (first: number, count: number, step = 1) => Array.from({ length: count }, (_, i) => first + i * step);

class Maps {
  readonly maps: PageMaps;

  constructor(tree: Tree, options: Partial<PageMapsOptions> = {}) {
    this.maps = new PageMaps({ sysfs: tree.sysfs, pageBytes: PAGE, ...options });
  }

  refresh(nowMs: number, options: Partial<RefreshOptions> = {}) {
    return this.maps.refresh({ wanted: everywhere, nowMs, maxAgeMs: 1000, budgetMs: 60_000, ...options });
  }

  /** Runs as [pid, first page, first frame, pages]. */
  find(wanted = everywhere, pids?: ReadonlySet<number>) {
    return [...this.maps.find(wanted, { maxBytes: 2 ** 40, pids })]
      .filter((run) => run !== undefined)
      .map((run) => [run.pid, run.startPage, run.startFrame, run.pages]);
  }
}

describe('page maps', () => {
  test('read file names with any character that the kernel prints', async () => {
    const tree = await makeEmptyTree();
    const names = ['/a\rb', '/a\u2028b', '/a\u2029b', '/a\u0085b'];
    for (const [i, name] of names.entries()) {
      await writeProcess(tree, 10 + i, [{ startPage: 100, frames: frames(5000 + 100 * i, 20), name }]);
    }
    const maps = new Maps(tree);
    expect(await maps.refresh(0)).toMatchObject({ processesRead: 4, skipped: [] });
    expect(maps.find()).toHaveLength(4);
  });

  test.each(['maps', 'stat'])(
    'leave out a process whose %s holds nonsense, say so, and read the others',
    async (file) => {
      const tree = await makeEmptyTree();
      for (let pid = 10; pid < 20; pid++) {
        await writeProcess(tree, pid, [{ startPage: 100, frames: frames(100 * pid, 20) }]);
      }
      await tree.write(`/proc/10/${file}`, 'nonsense\n');
      const maps = new Maps(tree);
      expect(await maps.refresh(0)).toMatchObject({ processesRead: 9, skipped: [{ pid: 10, reason: 'unreadable' }] });
      expect(maps.find()).toHaveLength(9);
    },
  );

  test('tell which pages of which process lie in a physical range', async () => {
    const tree = await makeEmptyTree();
    await writeProcess(tree, 10, [
      { startPage: 100, frames: [...frames(5000, 20), undefined, ...frames(7000, 3)] },
      { startPage: 90_000, frames: frames(5020, 10) },
    ]);
    await writeProcess(tree, 11, [{ startPage: 100, frames: frames(6000, 5) }]);
    const maps = new Maps(tree);
    expect(await maps.refresh(0)).toMatchObject({ processesRead: 2, skipped: [] });
    expect(maps.find([range(6000, 6100), range(5010, 5025)])).toEqual([
      [11, 100, 6000, 5],
      [10, 110, 5010, 10],
      [10, 90_000, 5020, 5],
    ]);
    expect(maps.find(everywhere, new Set([11]))).toEqual([[11, 100, 6000, 5]]);
  });

  test('may be made to wait before every look at what was read, and tell what other threads still read', async () => {
    const tree = await makeEmptyTree();
    await writeProcess(tree, 10, [{ startPage: 0, frames: frames(5000, 20), pages: 10 * READ_PAGES }]);
    const readsUnderWay: unknown[] = [];
    const pause = async (underWay: Promise<unknown>) => {
      readsUnderWay.push(await underWay);
    };
    expect(await new Maps(tree).refresh(0, { pause })).toMatchObject({ processesRead: 1 });
    expect(readsUnderWay.map((reads) => Array.isArray(reads) && reads.length)).toEqual([...Array(9).fill(2), 1]);
  });

  test('read nothing again that is fresh', async () => {
    const tree = await makeEmptyTree();
    await writeProcess(tree, 10, [{ startPage: 100, frames: frames(5000, 20) }]);
    const maps = new Maps(tree);
    await maps.refresh(0);
    expect(await maps.refresh(1000)).toMatchObject({ processesRead: 0, processesFresh: 1, pagesScanned: 0 });
    await writeProcess(tree, 10, [{ startPage: 100, frames: frames(9000, 20) }]);
    expect(await maps.refresh(1001)).toMatchObject({ processesRead: 1, pagesScanned: 20 });
    expect(maps.find()).toEqual([[10, 100, 9000, 20]]);
  });

  test('forget what has moved, and read just the places around it again', async () => {
    const tree = await makeEmptyTree();
    await writeProcess(tree, 10, [{ startPage: 0x10000, frames: frames(50_000, 10_000) }]);
    const maps = new Maps(tree);
    await maps.refresh(0);
    maps.maps.moved(10, 0x10000 + 700, 5);
    expect(maps.find()).toEqual([
      [10, 0x10000, 50_000, 512],
      [10, 0x10000 + 1024, 51_024, 10_000 - 1024],
    ]);
    await writeProcess(tree, 10, [
      { startPage: 0x10000, frames: [...frames(50_000, 700), ...frames(90_000, 5), ...frames(50_705, 9295)] },
    ]);
    expect(await maps.refresh(1)).toMatchObject({ processesRead: 1, pagesScanned: 512 });
    expect(maps.find()).toEqual([
      [10, 0x10000, 50_000, 700],
      [10, 0x10000 + 705, 50_705, 9295],
      [10, 0x10000 + 700, 90_000, 5],
    ]);
    expect(await maps.refresh(2)).toMatchObject({ pagesScanned: 0 });
  });

  test('of a process that maps and unmaps follow its areas', async () => {
    const tree = await makeEmptyTree();
    const stays = { startPage: 100, frames: frames(5000, 10) };
    await writeProcess(tree, 10, [stays, { startPage: 20_000, frames: frames(6000, 10) }]);
    const maps = new Maps(tree);
    await maps.refresh(0);
    await writeProcess(tree, 10, [stays, { startPage: 40_000, frames: frames(7000, 10) }]);
    maps.maps.moved(10, 100, 1);
    await maps.refresh(1);
    expect(maps.find()).toEqual([
      [10, 100, 5000, 10],
      [10, 40_000, 7000, 10],
    ]);
  });

  test('of a process with thousands of areas hold them all', async () => {
    const tree = await makeEmptyTree();
    const areas = frames(0, 5000).map((i) => ({
      startPage: 100 + 2 * i,
      frames: [9000 + i],
      name: `[anon:area ${i}]`,
    }));
    await writeProcess(tree, 10, areas);
    const maps = new Maps(tree);
    await maps.refresh(0);
    expect(maps.find().map(([, startPage]) => startPage)).toEqual(areas.map(({ startPage }) => startPage));
  });

  test('forget a process that is gone, and one whose pid another has now', async () => {
    const tree = await makeEmptyTree();
    await writeProcess(tree, 10, [{ startPage: 100, frames: frames(5000, 10) }]);
    await writeProcess(tree, 11, [{ startPage: 100, frames: frames(6000, 10) }]);
    const maps = new Maps(tree);
    await maps.refresh(0);
    await tree.remove('/proc/10');
    await writeProcess(tree, 11, [{ startPage: 100, frames: frames(7000, 10) }], { startTime: 2000 });
    await maps.refresh(1);
    expect(maps.find()).toEqual([[11, 100, 7000, 10]]);
  });

  test('skip a process that ends while it is read', async () => {
    const tree = await makeEmptyTree();
    await tree.write('/proc/10/stat', statLine(10, 5, 100));
    await writeProcess(tree, 11, [{ startPage: 100, frames: frames(6000, 10) }]);
    // As after exec: the old pagemap has no entries.
    await writeProcess(tree, 12, [{ startPage: 100, frames: [], pages: 10 }]);
    await tree.write('/proc/12/stat', statLine(12, 5, 100));
    await tree.remove('/proc/12/pagemap');
    await tree.write('/proc/12/pagemap', '');
    const maps = new Maps(tree);
    const { skipped } = await maps.refresh(0);
    expect(new Map(skipped.map(({ pid, reason }) => [pid, reason]))).toEqual(
      new Map([
        [10, 'exited'],
        [12, 'exited'],
      ]),
    );
    expect(maps.find()).toEqual([[11, 100, 6000, 10]]);
  });

  test('leave out our own process unless it is asked for', async () => {
    const tree = await makeEmptyTree();
    await writeProcess(tree, process.pid, [{ startPage: 100, frames: frames(5000, 10) }]);
    const maps = new Maps(tree);
    await maps.refresh(0);
    expect(maps.find()).toEqual([]);
    await maps.refresh(0, { pids: new Set([process.pid]) });
    expect(maps.find()).toEqual([[process.pid, 100, 5000, 10]]);
  });

  test('keep what they know of processes that are not asked for', async () => {
    const tree = await makeEmptyTree();
    await writeProcess(tree, 10, [{ startPage: 100, frames: frames(5000, 10) }]);
    await writeProcess(tree, 11, [{ startPage: 100, frames: frames(6000, 10) }]);
    const maps = new Maps(tree);
    await maps.refresh(0);
    expect(await maps.refresh(5000, { pids: new Set([11]) })).toMatchObject({ processesRead: 1, pagesScanned: 10 });
    expect(maps.find()).toHaveLength(2);
  });

  test('stop when they are told to, and say what is left', async () => {
    const tree = await makeEmptyTree();
    await writeProcess(tree, 10, [{ startPage: 100, frames: frames(5000, 10) }]);
    const maps = new Maps(tree);
    const stopped = { processesRead: 0, skipped: [{ pid: 10, reason: 'budget' }] };
    expect(await maps.refresh(0, { signal: AbortSignal.abort() })).toMatchObject(stopped);
    expect(await maps.refresh(0)).toMatchObject({ processesRead: 1 });
  });

  test('read something even when all the time went into looking', async () => {
    const tree = await makeEmptyTree();
    await writeProcess(tree, 10, [{ startPage: 100, frames: frames(5000, 10) }]);
    await writeProcess(tree, 11, [{ startPage: 100, frames: frames(6000, 10) }]);
    const maps = new Maps(tree);
    expect(await maps.refresh(0, { budgetMs: 0 })).toMatchObject({ pagesScanned: 10, skipped: [{ reason: 'budget' }] });
    expect(await maps.refresh(0, { budgetMs: 0 })).toMatchObject({ pagesScanned: 10, skipped: [] });
  });

  test('queue calls at the same time', async () => {
    const tree = await makeEmptyTree();
    await writeProcess(tree, 10, [{ startPage: 100, frames: frames(5000, 10) }]);
    const maps = new Maps(tree);
    const reports = await Promise.all([maps.refresh(0), maps.refresh(0)]);
    expect(reports.map(({ pagesScanned }) => pagesScanned)).toEqual([10, 0]);
  });
});

describe('huge pages', () => {
  const HEAD = 2 ** 15;
  const TAIL = 2 ** 16;
  const HUGETLB = 2 ** 17;
  const THP = 2 ** 22;

  async function hugeRuns(flags: readonly (readonly [number, number])[], options: Partial<PageMapsOptions> = {}) {
    const tree = await makeEmptyTree();
    await writeProcess(tree, 10, [{ startPage: 1024, frames: frames(2048, 1024) }]);
    await writeFlags(tree, new Map(flags));
    const maps = new Maps(tree, options);
    await maps.refresh(0);
    return [...maps.maps.find(everywhere, { maxBytes: 2 ** 40 })]
      .filter((run) => run !== undefined)
      .map((run) => [run.startFrame, run.pages, run.huge]);
  }

  const compound = (head: number, pages: number, kind: number) =>
    frames(head, pages).map((frame, i) => [frame, kind + (i === 0 ? HEAD : TAIL)] as const);

  test('are told from pages that merely follow one another', async () => {
    expect(await hugeRuns(compound(2048, 512, THP))).toEqual([
      [2048, 512, true],
      [2560, 512, false],
    ]);
  });

  test('are one run each', async () => {
    expect(await hugeRuns([...compound(2048, 512, THP), ...compound(2560, 512, THP)])).toEqual([
      [2048, 512, true],
      [2560, 512, true],
    ]);
  });

  test('smaller than 2 MiB are taken as single pages', async () => {
    expect(await hugeRuns([...compound(2048, 256, THP), ...compound(2304, 256, THP)])).toEqual([[2048, 1024, false]]);
  });

  test('of other compound pages are none', async () => {
    expect(await hugeRuns(compound(2048, 1024, 0))).toEqual([[2048, 1024, false]]);
  });

  test('of hugetlb are left out, 2 MiB and larger: DAMON does not see when they are touched', async () => {
    expect(await hugeRuns([...compound(2048, 512, HUGETLB), ...compound(2560, 512, THP)])).toEqual([[2560, 512, true]]);
    expect(await hugeRuns(compound(2048, 1024, HUGETLB))).toEqual([]);
  });

  test('cannot be told without kpageflags', async () => {
    expect(await hugeRuns([])).toEqual([[2048, 1024, false]]);
  });

  test('are not looked for where pages are larger than 4 KiB', async () => {
    const tree = await makeEmptyTree();
    await writeProcess(tree, 10, [{ startPage: 16 * 1024, frames: [], pages: 16 * 1024 }]);
    await writeFlags(tree, new Map(compound(2048, 512, THP)));
    expect(await hugeRuns(compound(2048, 512, THP), { pageBytes: 65_536 })).not.toContainEqual([2048, 512, true]);
  });
});

describe('without the capability', () => {
  test('to see page frames (CAP_SYS_ADMIN), the error says so', async () => {
    const tree = await makeEmptyTree();
    await writeProcess(tree, 10, [{ startPage: 100, frames: [0, 0, 0] }]);
    const failure = new Maps(tree).refresh(0);
    await expect(failure).rejects.toBeInstanceOf(PageMapsUnavailableError);
    await expect(failure).rejects.toMatchObject({ code: 'TIERD_PAGE_MAPS_UNAVAILABLE', capability: 'CAP_SYS_ADMIN' });
    await expect(failure).rejects.toThrow('/proc/10/pagemap: every page frame reads as 0; needs CAP_SYS_ADMIN');
  });

  class Denying extends HostSysFs {
    readonly #denied: readonly string[];

    constructor(root: string, denied: readonly string[]) {
      super(root);
      this.#denied = denied;
    }

    override async read(path: string): Promise<string> {
      if (this.#denied.includes(path)) {
        throw new SysFsError('read', path, Object.assign(new Error('denied'), { code: 'EACCES' }));
      }
      return super.read(path);
    }
  }

  test('to look at others (CAP_SYS_PTRACE), the error says so', async () => {
    const tree = await makeEmptyTree();
    await writeProcess(tree, 10, [{ startPage: 100, frames: frames(5000, 3) }]);
    const failure = new Maps(tree, { sysfs: new Denying(tree.root, ['/proc/10/maps']) }).refresh(0);
    await expect(failure).rejects.toMatchObject({ capability: 'CAP_SYS_PTRACE' });
  });

  test('for one process, that one is skipped', async () => {
    const tree = await makeEmptyTree();
    await writeProcess(tree, 10, [{ startPage: 100, frames: frames(5000, 3) }]);
    await writeProcess(tree, 11, [{ startPage: 100, frames: frames(6000, 3) }]);
    const maps = new Maps(tree, { sysfs: new Denying(tree.root, ['/proc/10/maps']) });
    expect((await maps.refresh(0)).skipped).toEqual([{ pid: 10, reason: 'denied' }]);
    expect(maps.find()).toEqual([[11, 100, 6000, 3]]);
  });
});

describe('giant areas', () => {
  const GiB = 2 ** 18;

  test('are searched bit by bit until what is in memory is found', async () => {
    const tree = await makeEmptyTree();
    const start = 2 ** 20;
    await writeProcess(tree, 10, [{ startPage: 100, frames: frames(5000, 10) }]);
    // 48 GiB with ten pages near the end.
    await writeProcess(tree, 10, [
      { startPage: 100, frames: frames(5000, 10) },
      { startPage: start, frames: [], pages: 47 * GiB },
      { startPage: start + 47 * GiB, frames: frames(9000, 10), pages: GiB },
    ]);
    const maps = new Maps(tree);
    const first = await maps.refresh(0);
    expect(first.pagesScanned).toBeLessThan(34 * GiB);
    expect(maps.find()).toEqual([[10, 100, 5000, 10]]);
    expect(first.bytesHeld).toBeLessThan(10_000);
    await maps.refresh(2000);
    expect(maps.find()).toContainEqual([10, start + 47 * GiB, 9000, 10]);
    // Found once, it is read again without a search.
    await writeProcess(tree, 10, [
      { startPage: 100, frames: frames(5000, 10) },
      { startPage: start, frames: [], pages: 47 * GiB },
      { startPage: start + 47 * GiB, frames: frames(9500, 10), pages: GiB },
    ]);
    expect((await maps.refresh(4000)).pagesScanned).toBeLessThan(20_000);
    expect(maps.find()).toContainEqual([10, start + 47 * GiB, 9500, 10]);
  });
});

describe('the search of giant areas', () => {
  const start = 2 ** 20;
  const pages = 2 ** 20;
  const small = { startPage: 100, frames: frames(5000, 100) };
  const giant = (at: number, first: number) => [
    { startPage: start, frames: [], pages: at },
    { startPage: start + at, frames: frames(first, 10), pages: pages - at },
  ];

  test('starts again at once when resident pages are missing', async () => {
    const tree = await makeEmptyTree();
    await writeProcess(tree, 10, [small, ...giant(500_000, 9000)]);
    const maps = new Maps(tree);
    await maps.refresh(0);
    await writeProcess(tree, 10, [small, { startPage: start, frames: frames(9500, 500), pages }]);
    await maps.refresh(1500);
    expect(maps.find()).toContainEqual([10, start, 9500, 500]);
  });

  test('starts again at once when the areas change', async () => {
    const tree = await makeEmptyTree();
    await writeProcess(tree, 10, [{ ...small, frames: frames(5000, 1000) }]);
    const maps = new Maps(tree);
    await maps.refresh(0);
    await writeProcess(tree, 10, [{ ...small, frames: frames(5000, 1000) }, ...giant(500_000, 9000)]);
    await maps.refresh(1500);
    expect(maps.find()).toContainEqual([10, start + 500_000, 9000, 10]);
  });

  test('otherwise starts again now and then', async () => {
    const tree = await makeEmptyTree();
    const large = { ...small, frames: frames(5000, 1000) };
    await writeProcess(tree, 10, [large, ...giant(200_000, 9000)]);
    const maps = new Maps(tree);
    // With nothing missing it takes two steps.
    await maps.refresh(0);
    await maps.refresh(1500);
    await writeProcess(tree, 10, [large, ...giant(100_000, 9500)]);
    await maps.refresh(3000);
    expect(maps.find()).toEqual([[10, 100, 5000, 1000]]);
    await maps.refresh(11_000);
    expect(maps.find()).toContainEqual([10, start + 100_000, 9500, 10]);
  });
});

describe('bounded memory', () => {
  const scattered = (first: number) => [{ startPage: 0x10000, frames: frames(first, 40_000, 2) }];

  test('goes to the processes with more wanted pages for a page scanned', async () => {
    const tree = await makeEmptyTree();
    await writeProcess(tree, 10, scattered(1_000_000));
    await writeProcess(tree, 11, scattered(2_000_000));
    const maps = new Maps(tree, { maxBytes: 500_000 });
    await maps.refresh(0, { wanted: [range(2_000_000, 3_000_000)], pids: new Set([10]) });
    expect(maps.find()).not.toEqual([]);
    await maps.refresh(0, { wanted: [range(2_000_000, 3_000_000)] });
    expect(new Set(maps.find().map(([pid]) => pid))).toEqual(new Set([11]));
    expect(maps.find()).toHaveLength(40_000);
    const again = await maps.refresh(2000, { wanted: [range(2_000_000, 3_000_000)] });
    expect(again.skipped).toEqual([{ pid: 10, reason: 'memory' }]);
    expect(again.bytesHeld).toBeLessThanOrEqual(500_000 + 160 * 1024);
  });

  test('is kept by a process that is larger: its parts take turns', async () => {
    const tree = await makeEmptyTree();
    await writeProcess(tree, 10, [{ startPage: 0x10000, frames: frames(1_000_000, 200_000, 2) }]);
    const maps = new Maps(tree, { maxBytes: 400_000 });
    const seen = new Set<number>();
    for (let round = 0; round < 12; round++) {
      const report = await maps.refresh(round * 2000);
      expect(report.skipped).toEqual([{ pid: 10, reason: 'memory' }]);
      expect(report.bytesHeld).toBeLessThanOrEqual(400_000 + 160 * 1024);
      for (const [, startPage] of maps.find()) seen.add(startPage ?? 0);
    }
    expect(seen.size).toBe(200_000);
  });
});
