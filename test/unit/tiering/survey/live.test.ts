import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFile } from 'node:fs/promises';
import { describe, expect, onTestFinished, test } from 'vitest';
import { readNodeMemory } from '../../../../numa/node-memory.ts';
import { FrameCgroups } from '../../../../numa/page-maps/frame-cgroups.ts';
import { PageFile, READ_PAGES } from '../../../../numa/page-maps/page-files.ts';
import { decodeRuns, RunBuffer } from '../../../../numa/page-maps/pagemap-runs.ts';
import { HostSysFs } from '../../../../numa/sysfs.ts';
import { readProcessMemory } from '../../../../tiering/jobs/process-memory.ts';
import { DEFAULT_POLICY } from '../../../../tiering/policy.ts';
import { surveyProcesses } from '../../../../tiering/survey/process-survey.ts';
import { SlowFrames } from '../../../../tiering/survey/slow-frames.ts';
import { PAGE, TOPOLOGY } from './hot-machine.ts';

const MIB = 2 ** 20;
const sysfs = new HostSysFs();

/** CAP_SYS_ADMIN (bit 21) shows page frames. */
const capabilities = /^CapEff:\s*([0-9a-f]+)$/m.exec(await readFile('/proc/self/status', 'utf8'))?.[1] ?? '0';
const seesFrames = (Number.parseInt(capabilities.slice(-8), 16) & (1 << 21)) !== 0;

/** Inode of the cgroup that our memory is charged to, of version 1 or 2; undefined: the one above it is, or none can be seen. */
const membership = await readFile('/proc/self/cgroup', 'utf8');
const ownPath = /^\d+:memory:(.*)$/m.exec(membership)?.[1];
const ownFolder =
  ownPath === undefined ? `/sys/fs/cgroup${/^0::(.*)$/m.exec(membership)?.[1]}` : `/sys/fs/cgroup/memory${ownPath}`;
const isCharged = (await sysfs.readIfPresent(`${ownFolder}/memory.numa_stat`)) !== undefined;
const ownCgroup = isCharged ? await sysfs.inode(ownFolder) : undefined;

describe.runIf(seesFrames)('a survey of this machine', () => {
  test('finds all of a process hot where all of its node is taken for hot', async () => {
    const program = `globalThis.memory = Buffer.alloc(${64 * MIB}, 1); console.log('ready'); process.stdin.resume();`;
    const child = spawn(process.execPath, ['-e', program], { stdio: ['pipe', 'pipe', 'inherit'] });
    onTestFinished(() => void child.kill('SIGKILL'));
    await once(child.stdout, 'data');
    const memory = await readNodeMemory(sysfs, [0]);
    expect(memory.get(0)?.totalBytes).toBeGreaterThan(0);
    // As if node 0 were slow, and all of it hot.
    const topology = { ...TOPOLOGY, paths: [{ nodeId: 0, promotionTargets: [1], demotionTargets: [] }] };
    const all = { start: 0, end: 2 ** 52, nrAccesses: 10, age: 1 };
    const snapshot = { nodeId: 0, takenAtMs: 0, maxNrAccesses: 10, aggregationIntervalMs: 500, regions: [all] };
    const { processes } = await surveyProcesses({
      sysfs,
      pageBytes: PAGE,
      slow: new SlowFrames(topology, [snapshot], DEFAULT_POLICY, PAGE),
      nowMs: () => performance.now(),
      signal: new AbortController().signal,
      budgetMs: 60_000,
    });
    const found = processes.find(({ pid }) => pid === child.pid);
    expect(found?.name).toBe('node');
    expect(found?.sizeBytes).toBeGreaterThan(64 * MIB);
    const onNode0 = found?.nodes.find(({ nodeId }) => nodeId === 0);
    expect(onNode0?.hotBytes).toBe(onNode0?.sizeBytes);
  });

  test.runIf(ownCgroup !== undefined)('finds our own frames charged to our own cgroup', async () => {
    const memory = Buffer.alloc(16 * MIB, 1);
    const { runs } = await readProcessMemory(sysfs, process.pid, new Set([0]), 4096);
    const pagemap = await PageFile.open('/', '/proc/self/pagemap');
    const cgroups = await FrameCgroups.open('/');
    try {
      const frames = new RunBuffer();
      for (const { startPage, endPage } of runs) {
        for (let page = startPage; page < endPage; page += READ_PAGES) {
          const { words, pages } = await pagemap.read(page, Math.min(READ_PAGES, endPage - page));
          decodeRuns(words, 0, pages, page, frames);
        }
      }
      const spans = Array.from(frames.startFrame.subarray(0, frames.length), (start, i) => ({
        start,
        end: start + (frames.pages[i] ?? 0),
      }));
      const counts = await cgroups.count(spans);
      const charged = counts.get(ownCgroup ?? 0) ?? 0;
      // Program files are charged to whoever read them first.
      expect(charged * PAGE).toBeGreaterThan(memory.length);
    } finally {
      await pagemap.close();
      await cgroups.close();
    }
  });
});
