import { describe, expect, test } from 'vitest';
import { PageFile } from '../../../../numa/page-maps/page-files.ts';
import type { ResidentPagesOptions } from '../../../../numa/page-maps/resident-pages.ts';
import { ResidentPages } from '../../../../numa/page-maps/resident-pages.ts';
import { SyscallError } from '../../../../numa/syscalls/errors.ts';
import { startSparseProcess } from '../sparse-process.ts';

const PAGE = 4096;
const GIB = 2 ** 30;

async function find(pid: number, startPage: number, pages: number, options: Partial<ResidentPagesOptions> = {}) {
  const resident = new ResidentPages({ root: '/', pageBytes: PAGE, ...options });
  const pagemap = await PageFile.open('/', `/proc/${pid}/pagemap`);
  try {
    const found: number[] = [];
    let steps = 0;
    for await (const { spans } of resident.find(pagemap, { startPage, endPage: startPage + pages })) {
      steps += 1;
      for (const span of spans) {
        for (let page = span.startPage; page < span.endPage; page++) found.push(page - startPage);
      }
    }
    return { found, steps, canScan: await resident.canScan(pagemap) };
  } finally {
    await pagemap.close();
  }
}

async function kernelScans(): Promise<boolean> {
  return (await find(process.pid, 0, 1)).canScan;
}

const refuse = async () => () => Promise.reject(new SyscallError('ioctl', '', 25));

describe('pages in memory', () => {
  test('are found by reading where the kernel cannot scan', async () => {
    const offsets = [0, 5 * PAGE, 6 * PAGE, GIB / 2, GIB - PAGE];
    const { pid, startPage } = await startSparseProcess(GIB, offsets);
    const pages = offsets.map((offset) => offset / PAGE);
    expect(await find(pid, startPage, GIB / PAGE, { loadScan: refuse })).toMatchObject({
      found: pages,
      canScan: false,
    });
  });

  test('of a recorded machine are found by reading', async () => {
    const resident = new ResidentPages({ root: '/tmp', pageBytes: PAGE });
    const pagemap = await PageFile.open('/', '/proc/self/pagemap');
    try {
      expect(await resident.canScan(pagemap)).toBe(false);
    } finally {
      await pagemap.close();
    }
  });
});

describe.runIf(await kernelScans())('pages in memory, on a kernel with PAGEMAP_SCAN', () => {
  test('of 16 TiB with three in use are found in no time', async () => {
    const offsets = [0, 8192 * GIB, 16_384 * GIB - PAGE];
    const { pid, startPage } = await startSparseProcess(16_384 * GIB, offsets);
    const startedAt = process.cpuUsage();
    const { found, steps } = await find(pid, startPage, (16_384 * GIB) / PAGE);
    const { user, system } = process.cpuUsage(startedAt);
    expect(found).toEqual(offsets.map((offset) => offset / PAGE));
    expect(steps).toBeLessThan(1000);
    // Reading its page map takes most of a minute.
    expect((user + system) / 1000).toBeLessThan(1000);
  });

  test('are the same as in the page map where they lie one by one, more than fit one answer', async () => {
    const offsets = Array.from({ length: 3000 }, (_, index) => 2 * index * PAGE);
    const { pid, startPage } = await startSparseProcess(GIB, offsets);
    const read = await find(pid, startPage, GIB / PAGE, { loadScan: refuse });
    const scanned = await find(pid, startPage, GIB / PAGE);
    expect(scanned.found).toEqual(read.found);
    expect(scanned.found).toHaveLength(3000);
  });

  test('of a process that has exited are none', async () => {
    const { pid, startPage, kill } = await startSparseProcess(GIB, [0]);
    const pagemap = await PageFile.open('/', `/proc/${pid}/pagemap`);
    try {
      const resident = new ResidentPages({ root: '/', pageBytes: PAGE });
      const search = async () => {
        let pages = 0;
        for await (const { spans } of resident.find(pagemap, { startPage, endPage: startPage + GIB / PAGE })) {
          pages += spans.length;
        }
        return pages;
      };
      expect(await search()).toBe(1);
      kill();
      await expect.poll(search).toBe(0);
    } finally {
      await pagemap.close();
    }
  });
});
