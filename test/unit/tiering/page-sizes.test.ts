import { open } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { discoverTopology } from '../../../numa/discover.ts';
import { PageMaps } from '../../../numa/page-maps/page-maps.ts';
import { initialRegions } from '../../../tiering/damon/tree.ts';
import { JobRecord } from '../../../tiering/jobs/job-record.ts';
import { runMigration } from '../../../tiering/jobs/migration-run.ts';
import { plan } from '../../../tiering/plan.ts';
import { DEFAULT_POLICY } from '../../../tiering/policy.ts';
import { surveyProcesses } from '../../../tiering/survey/process-survey.ts';
import { SlowFrames } from '../../../tiering/survey/slow-frames.ts';
import { makeEmptyTree, statLine } from '../numa/page-maps/proc-tree.ts';
import type { Tree } from '../numa/tree.ts';
import { buildTree, MiB } from '../numa/tree.ts';
import { FakeMachine } from './jobs/fake-machine.ts';
import { ALL_FEATURES } from './machines.ts';
import { TOPOLOGY } from './survey/hot-machine.ts';

const PID = 10;
/** Where its memory begins. */
const ADDRESS = 2 ** 32;

/** A process with pages in these frames, and as many after them that are in no memory. */
async function writeProcess(tree: Tree, frames: readonly number[], pageBytes: number): Promise<void> {
  const end = ADDRESS + 2 * frames.length * pageBytes;
  await tree.write(`/proc/${PID}/stat`, statLine(PID, 1000, frames.length));
  await tree.write(`/proc/${PID}/maps`, `${ADDRESS.toString(16)}-${end.toString(16)} rw-p 00000000 00:00 0 `);
  await tree.write(
    `/proc/${PID}/numa_maps`,
    `${ADDRESS.toString(16)} default anon=1 N1=${frames.length} kernelpagesize_kB=${pageBytes / 1024}`,
  );
  await tree.write(`/proc/${PID}/comm`, 'program');
  const file = await open(join(tree.root, `/proc/${PID}/pagemap`), 'w');
  try {
    await file.truncate((end / pageBytes) * 8);
    const entries = BigUint64Array.from(frames, (frame) => 2n ** 63n + BigInt(frame));
    await file.write(new Uint8Array(entries.buffer), 0, entries.byteLength, (ADDRESS / pageBytes) * 8);
  } finally {
    await file.close();
  }
}

describe.each([4096, 16_384, 65_536])('on a kernel with pages of %i bytes', (pageBytes) => {
  const frames = Array.from({ length: 100 }, (_, index) => 5000 + index);

  test('kdamonds watch the same memory in the same schemes, in regions that begin at pages', async () => {
    const machine = (pageSizeBytes: number) =>
      buildTree({
        nodes: [
          { id: 0, cpus: '0-1', blocks: [0, 1, 2, 3] },
          { id: 1, blocks: [32, 33] },
        ],
        kernelTiers: { 4: '0', 22: '1' },
        pageSizeBytes,
      });
    const planned = async (pageSizeBytes: number) => {
      const topology = await discoverTopology((await machine(pageSizeBytes)).sysfs);
      const scope = { include: 'all' as const, exclude: [] };
      return plan({ topology, policy: DEFAULT_POLICY, features: ALL_FEATURES, scope, orders: [] });
    };
    const kdamonds = await planned(pageBytes);
    expect(kdamonds).toHaveLength(2);
    expect(kdamonds).toEqual(await planned(4096));
    for (const { ranges } of kdamonds) {
      expect(initialRegions(ranges, 1000).every(({ start }) => start % pageBytes === 0)).toBe(true);
    }
  });

  test('page maps tell which page lies in which frame', async () => {
    const tree = await makeEmptyTree();
    await writeProcess(tree, frames, pageBytes);
    const maps = new PageMaps({ sysfs: tree.sysfs, pageBytes });
    const wanted = [{ start: 5010 * pageBytes, end: 5020 * pageBytes }];
    await maps.refresh({ wanted, nowMs: 0, maxAgeMs: 1000, budgetMs: 10_000 });
    expect([...maps.find(wanted, { maxBytes: 2 ** 40 })].filter((run) => run !== undefined)).toMatchObject([
      { startPage: ADDRESS / pageBytes + 10, startFrame: 5010, pages: 10, huge: false },
    ]);
  });

  test('an order moves all of a process, and counts it in bytes', async () => {
    const machine = new FakeMachine(pageBytes);
    const process = machine
      .add(7)
      .map(2 ** 20, 40, 1)
      .map(2 ** 21, 8, 0);
    const record = new JobRecord(
      1,
      { target: { pid: 7 }, from: [1], to: 0, maxBytesPerSecond: 1024 * MiB },
      machine.clock.now(),
    );
    const end = await runMigration(record, machine, new AbortController().signal);
    expect(end).toEqual({ state: 'done' });
    expect(record).toMatchObject({ movedBytes: 40 * MiB, failedBytes: 0, totalBytes: 40 * MiB });
    expect(process.bytesOn(0)).toBe(48 * MiB);
    const named = machine.moves.flatMap(({ pages }) => [...pages]);
    expect(named).toHaveLength((40 * MiB) / pageBytes);
    expect(named.every((page) => (page * 4096) % pageBytes === 0)).toBe(true);
  });

  test('an order finds the little that is in memory of much', async () => {
    const machine = new FakeMachine(pageBytes);
    const process = machine.add(7).map(2 ** 20, 64, 1);
    for (const page of [...process.nodeOf.keys()].slice(3)) process.nodeOf.delete(page);
    const record = new JobRecord(
      1,
      { target: { pid: 7 }, from: [1], to: 0, maxBytesPerSecond: 1024 * MiB },
      machine.clock.now(),
    );
    await runMigration(record, machine, new AbortController().signal);
    expect(record).toMatchObject({ movedBytes: 3 * pageBytes, failedBytes: 0 });
    expect(machine.searchedPages * 4096).toBe(64 * MiB);
  });

  test('a survey of processes tells what is hot', async () => {
    const tree = await makeEmptyTree();
    await writeProcess(tree, frames, pageBytes);
    const snapshot = {
      nodeId: 1,
      takenAtMs: 0,
      maxNrAccesses: 10,
      aggregationIntervalMs: 500,
      regions: [
        { start: 5000 * pageBytes, end: 5075 * pageBytes, nrAccesses: 0, age: 3 },
        { start: 5075 * pageBytes, end: 5100 * pageBytes, nrAccesses: 10, age: 3 },
      ],
    };
    const slow = new SlowFrames(TOPOLOGY, [snapshot], DEFAULT_POLICY, pageBytes);
    const { processes } = await surveyProcesses({
      sysfs: tree.sysfs,
      slow,
      pageBytes,
      nowMs: () => 0,
      signal: new AbortController().signal,
    });
    expect(processes).toMatchObject([
      { pid: PID, sizeBytes: 100 * pageBytes, nodes: [{ nodeId: 1, hotBytes: 25 * pageBytes }] },
    ]);
  });
});
