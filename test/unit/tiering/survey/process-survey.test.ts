import { describe, expect, test } from 'vitest';
import { HostSysFs, SysFsError } from '../../../../numa/sysfs.ts';
import { surveyProcesses } from '../../../../tiering/survey/process-survey.ts';
import type { SlowFrames } from '../../../../tiering/survey/slow-frames.ts';
import type { FakeArea } from '../../numa/page-maps/proc-tree.ts';
import { makeEmptyTree, writeProcess } from '../../numa/page-maps/proc-tree.ts';
import type { Tree } from '../../numa/tree.ts';
import { PAGE, slowFrames, snapshotOf } from './hot-machine.ts';

/** Frames from 1000 on are node 1's, hot from 1100 on. */
const HALF_HOT = slowFrames(
  snapshotOf(1, [
    [1000, 1100, 0],
    [1100, 1200, 10],
  ]),
);

const frames = (first: number, count: number) => Array.from({ length: count }, (_, i) => first + i);
/** On a slow node a frame has node 1 from 1000 on. */
const nodeOf = (frame: number) => (frame < 1000 ? 0 : 1);

async function writeWhole(tree: Tree, pid: number, name: string, areas: readonly FakeArea[], cgroup = '0::/') {
  await writeProcess(tree, pid, areas);
  const lines = areas.map((area) => {
    const counts = new Map<number, number>();
    for (const frame of area.frames) {
      if (frame !== undefined) counts.set(nodeOf(frame), (counts.get(nodeOf(frame)) ?? 0) + 1);
    }
    const words = [...counts].map(([node, pages]) => `N${node}=${pages}`);
    return `${area.startPage.toString(16)}000 default anon=1 ${words.join(' ')} kernelpagesize_kB=4`;
  });
  await tree.write(`/proc/${pid}/numa_maps`, lines.join('\n'));
  await tree.write(`/proc/${pid}/comm`, name);
  await tree.write(`/proc/${pid}/cgroup`, cgroup);
}

const survey = (
  sysfs: HostSysFs,
  slow: SlowFrames | undefined,
  more: { readonly budgetMs?: number; readonly signal?: AbortSignal } = {},
) => surveyProcesses({ sysfs, slow, pageBytes: 4096, nowMs: () => 50, signal: new AbortController().signal, ...more });

describe('a survey of processes', () => {
  test('says what lies where, and what of it is hot on slow nodes, the neediest first', async () => {
    const tree = await makeEmptyTree();
    await writeWhole(tree, 10, 'large', [{ startPage: 0x100, frames: frames(100, 300) }], '0::/system.slice/large');
    await writeWhole(tree, 20, 'needy', [
      { startPage: 0x100, frames: frames(500, 20) },
      { startPage: 0x400, frames: frames(1080, 40) },
    ]);
    expect(await survey(tree.sysfs, HALF_HOT)).toEqual({
      takenAtMs: 50,
      unread: { processes: 0, residentBytes: 0 },
      processes: [
        {
          pid: 20,
          name: 'needy',
          cgroup: '/',
          sizeBytes: 60 * PAGE,
          nodes: [
            { nodeId: 0, sizeBytes: 20 * PAGE },
            { nodeId: 1, sizeBytes: 40 * PAGE, hotBytes: 20 * PAGE },
          ],
          hotOnSlowBytes: 20 * PAGE,
        },
        {
          pid: 10,
          name: 'large',
          cgroup: '/system.slice/large',
          sizeBytes: 300 * PAGE,
          nodes: [{ nodeId: 0, sizeBytes: 300 * PAGE }],
          hotOnSlowBytes: 0,
        },
      ],
    });
  });

  test('reads no page map when nothing hot lies on a slow node', async () => {
    const tree = await makeEmptyTree();
    await writeWhole(tree, 20, 'cold', [{ startPage: 0x400, frames: frames(1000, 40) }]);
    await tree.remove('/proc/20/pagemap');
    await tree.remove('/proc/20/maps');
    const { processes } = await survey(tree.sysfs, slowFrames(snapshotOf(1, [[1000, 1200, 0]])));
    expect(processes).toMatchObject([{ nodes: [{ nodeId: 1, sizeBytes: 40 * PAGE, hotBytes: 0 }], hotOnSlowBytes: 0 }]);
  });

  test('says nothing of hot memory as long as that is not known', async () => {
    const tree = await makeEmptyTree();
    await writeWhole(tree, 20, 'program', [{ startPage: 0x400, frames: frames(1080, 40) }]);
    const { processes } = await survey(tree.sysfs, undefined);
    expect(processes).toEqual([
      { pid: 20, name: 'program', cgroup: '/', sizeBytes: 40 * PAGE, nodes: [{ nodeId: 1, sizeBytes: 40 * PAGE }] },
    ]);
  });

  test('says nothing of hot memory where the kernel hides the frames', async () => {
    const tree = await makeEmptyTree();
    await writeWhole(tree, 20, 'program', [{ startPage: 0x400, frames: frames(1080, 40) }]);
    const hidden = { startPage: 0x400, frames: frames(1080, 40).map(() => 0) };
    await writeProcess(tree, 20, [hidden]);
    const { processes } = await survey(tree.sysfs, HALF_HOT);
    expect(processes[0]).not.toHaveProperty('hotOnSlowBytes');
    expect(processes[0]?.nodes).toEqual([{ nodeId: 1, sizeBytes: 40 * PAGE }]);
  });

  test('estimates from a sample what would take too long to read', async () => {
    const tree = await makeEmptyTree();
    // 8 GiB of address space, of which every other 512 pages lie on node 1; the later half of these in hot frames.
    const pages = 2 ** 21;
    const sparse = Array.from({ length: pages }, (_, i) => (i % 1024 >= 512 ? 1_000_000 + i : undefined));
    await writeWhole(tree, 30, 'giant', [{ startPage: 0x100000, frames: sparse }]);
    const slow = slowFrames(
      snapshotOf(1, [
        [1_000_000, 1_000_000 + pages / 2, 0],
        [1_000_000 + pages / 2, 1_000_000 + pages, 10],
      ]),
    );
    const { processes } = await survey(tree.sysfs, slow);
    expect(processes[0]?.sizeBytes).toBe((pages / 2) * PAGE);
    expect((processes[0]?.hotOnSlowBytes ?? 0) / ((pages / 4) * PAGE)).toBeCloseTo(1, 1);
  });

  test('begins no process after its time, the smallest go without, and their number is told', async () => {
    const tree = await makeEmptyTree();
    await writeWhole(tree, 10, 'small', [{ startPage: 0x100, frames: frames(100, 3) }]);
    await writeWhole(tree, 11, 'large', [{ startPage: 0x100, frames: frames(200, 9) }]);
    const readings = [0, 0, 5, 5];
    const { processes, unread } = await surveyProcesses({
      sysfs: tree.sysfs,
      pageBytes: 16_384,
      slow: HALF_HOT,
      signal: new AbortController().signal,
      nowMs: () => readings.shift() ?? 5,
      budgetMs: 5,
    });
    expect(processes.map(({ name }) => name)).toEqual(['large']);
    expect(unread).toEqual({ processes: 1, residentBytes: 3 * 16_384 });
  });

  test('ends soon when it is told to', async () => {
    const tree = await makeEmptyTree();
    await writeWhole(tree, 10, 'program', [{ startPage: 0x100, frames: frames(100, 3) }]);
    const { processes, unread } = await survey(tree.sysfs, HALF_HOT, { signal: AbortSignal.abort() });
    expect(processes).toEqual([]);
    expect(unread.processes).toBe(1);
  });

  test('leaves out who exits meanwhile, and tells of who may not be read', async () => {
    const tree = await makeEmptyTree();
    await writeWhole(tree, 10, 'gone', [{ startPage: 0x100, frames: frames(100, 3) }]);
    await tree.remove('/proc/10/comm');
    await writeWhole(tree, 11, 'secret', [{ startPage: 0x100, frames: frames(200, 2) }]);
    class Denying extends HostSysFs {
      override async read(path: string): Promise<string> {
        if (path === '/proc/11/numa_maps') {
          throw new SysFsError('read', path, Object.assign(new Error(), { code: 'EACCES' }));
        }
        return super.read(path);
      }
    }
    const { processes, unread } = await survey(new Denying(tree.root), HALF_HOT);
    expect(processes).toEqual([]);
    expect(unread).toEqual({ processes: 1, residentBytes: 2 * PAGE });
  });
});
