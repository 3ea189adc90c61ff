import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { open, readFile } from 'node:fs/promises';
import { describe, expect, onTestFinished, test } from 'vitest';
import { PageFile } from '../../../../numa/page-maps/page-files.ts';
import { PageMaps } from '../../../../numa/page-maps/page-maps.ts';
import { ResidentPages } from '../../../../numa/page-maps/resident-pages.ts';
import { HostSysFs } from '../../../../numa/sysfs.ts';
import { startSparseProcess } from '../sparse-process.ts';

const MiB = 2 ** 20;
const PAGE = 4096;
const everywhere = [{ start: 0, end: 2 ** 46 }];

/** CAP_SYS_ADMIN (bit 21) shows page frames. */
const capabilities = /^CapEff:\s*([0-9a-f]+)$/m.exec(await readFile('/proc/self/status', 'utf8'))?.[1] ?? '0';
const seesFrames = (Number.parseInt(capabilities.slice(-8), 16) & (1 << 21)) !== 0;

/** Whether the kernel has PAGEMAP_SCAN. */
async function canScan(): Promise<boolean> {
  const pagemap = await PageFile.open('/', '/proc/self/pagemap');
  try {
    return await new ResidentPages({ root: '/', pageBytes: PAGE }).canScan(pagemap);
  } finally {
    await pagemap.close();
  }
}
const scans = await canScan();

/** A process with so much memory, all of it touched. */
async function startProcess(bytes: number) {
  const program = `globalThis.memory = Buffer.alloc(${bytes}, 1); console.log('ready'); process.stdin.resume();`;
  const child = spawn(process.execPath, ['-e', program], { stdio: ['pipe', 'pipe', 'inherit'] });
  onTestFinished(() => void child.kill('SIGKILL'));
  await once(child.stdout, 'data');
  if (child.pid === undefined) throw new Error('no pid');
  return { child, pid: child.pid };
}

describe.runIf(seesFrames)('page maps of this machine', () => {
  const maps = () => new PageMaps({ sysfs: new HostSysFs(), pageBytes: PAGE });
  const refreshed = (pageMaps: PageMaps, pid: number) =>
    pageMaps.refresh({ wanted: everywhere, pids: new Set([pid]), nowMs: 0, maxAgeMs: 1000, budgetMs: 10_000 });

  test('hold the memory of a process, each page in the frame the kernel says', async () => {
    const { pid } = await startProcess(64 * MiB);
    const pageMaps = maps();
    const report = await refreshed(pageMaps, pid);
    expect(report).toMatchObject({ processesRead: 1, skipped: [] });
    const runs = [...pageMaps.find(everywhere, { maxBytes: 2 ** 40 })].filter((run) => run !== undefined);
    expect(runs.reduce((sum, { pages }) => sum + pages, 0) * PAGE).toBeGreaterThan(64 * MiB);
    const pagemap = await open(`/proc/${pid}/pagemap`);
    try {
      let right = 0;
      for (const { startPage, startFrame, pages } of runs) {
        const entries = new BigUint64Array(pages);
        await pagemap.read(new Uint8Array(entries.buffer), 0, pages * 8, startPage * 8);
        for (const [i, entry] of entries.entries()) {
          if (Number(BigInt.asUintN(55, entry)) === startFrame + i) right++;
        }
      }
      // Something may move in a process that runs, but not much of it.
      expect(right * PAGE).toBeGreaterThan(63 * MiB);
    } finally {
      await pagemap.close();
    }
  });

  test.runIf(scans)('hold the pages that lie far apart in 16 TiB of empty address space, at once', async () => {
    const tib = 2 ** 40;
    const offsets = [0, 5 * tib, 16 * tib - PAGE];
    const { pid, startPage } = await startSparseProcess(16 * tib, offsets);
    const pageMaps = maps();
    const report = await refreshed(pageMaps, pid);
    expect(report).toMatchObject({ processesRead: 1, skipped: [], isComplete: true });
    // The program itself takes some GiB of address space in smaller areas.
    expect(report.pagesScanned).toBeLessThan((64 * 2 ** 30) / PAGE);
    const pages = [...pageMaps.find(everywhere, { maxBytes: 2 ** 40 })].map((run) => run?.startPage);
    expect(pages).toEqual(expect.arrayContaining(offsets.map((offset) => startPage + offset / PAGE)));
  });

  test('take a process that was killed for gone', async () => {
    const { child, pid } = await startProcess(16 * MiB);
    const pageMaps = maps();
    const options = { wanted: everywhere, pids: new Set([pid]), maxAgeMs: 0, budgetMs: 10_000 };
    const exited = once(child, 'exit');
    const reading = pageMaps.refresh({ ...options, nowMs: 0 });
    child.kill('SIGKILL');
    await reading;
    await exited;
    expect(await pageMaps.refresh({ ...options, nowMs: 1 })).toMatchObject({ processesRead: 0 });
    expect([...pageMaps.find(everywhere, { maxBytes: 2 ** 40 })].filter((run) => run !== undefined)).toEqual([]);
  });
});
