import type { ChildProcess } from 'node:child_process';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFile } from 'node:fs/promises';
import { monitorEventLoopDelay } from 'node:perf_hooks';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { SyscallError } from '../../../../numa/syscalls/errors.ts';
import type { MovePages } from '../../../../numa/syscalls/move-pages.ts';
import { hostMovePages } from '../../../../numa/syscalls/move-pages.ts';
import { refusedCalls } from './refused-calls.ts';

const ENOENT = -2;

const refused = await refusedCalls();

describe.skipIf(refused.length > 0)('move_pages on the running kernel', () => {
  let child: ChildProcess;
  let pid: number;
  let movePages: MovePages;
  let pages: Float64Array;

  beforeAll(async () => {
    movePages = await hostMovePages();
    const holder = spawn(process.execPath, [
      '-e',
      'globalThis.held = Buffer.alloc(64 << 20, 1); console.log("filled"); setInterval(() => undefined, 1000)',
    ]);
    child = holder;
    pid = holder.pid ?? 0;
    await once(holder.stdout, 'data');
    // Its largest area of anonymous memory holds the buffer.
    const areas = (await readFile(`/proc/${pid}/maps`, 'utf8'))
      .split('\n')
      .flatMap((line) => /^([0-9a-f]+)-([0-9a-f]+) rw-p 00000000 00:00 0 *$/.exec(line)?.slice(1, 3) ?? [])
      .map((hex) => Number.parseInt(hex, 16) / 4096);
    const [start, size] = areas
      .flatMap((from, index) => (index % 2 === 0 ? [[from, (areas[index + 1] ?? from) - from] as const] : []))
      .reduce((largest, area) => (area[1] > largest[1] ? area : largest));
    pages = Float64Array.from({ length: Math.min(size, 16_384) }, (_, index) => start + index);
  });

  afterAll(() => {
    child.kill('SIGKILL');
  });

  test('tells the node of each page of another process, over more pages than one call takes', async () => {
    const statuses = await movePages({ pid, pages });
    const present = statuses.filter((status) => status >= 0).length;
    expect(present).toBeGreaterThan(0.9 * pages.length);
  });

  test('where there is no page it says so', async () => {
    expect([...(await movePages({ pid, pages: Float64Array.of(1, 2) }))].every((status) => status < 0)).toBe(true);
    const statuses = await movePages({ pid, pages: Float64Array.of(2 ** 35 - 2) });
    expect([ENOENT, -14]).toContain(statuses[0]);
  });

  test('moves pages to the node where they are, without an error', async () => {
    const [node = 0] = await movePages({ pid, pages: pages.subarray(100, 101) });
    const statuses = await movePages({ pid, pages: pages.subarray(100, 200), targetNodeId: node });
    expect(new Set(statuses)).toEqual(new Set([node]));
  });

  test('a process that is gone is an error that names call, process and errno', async () => {
    const gone = 2 ** 22 - 1;
    const failure = movePages({ pid: gone, pages: Float64Array.of(1) });
    await expect(failure).rejects.toBeInstanceOf(SyscallError);
    const args = `pid ${gone}, 1 pages from 1000, query`;
    await expect(failure).rejects.toMatchObject({ code: 'TIERD_SYSCALL', call: 'move_pages', args, errno: 'ESRCH' });
    await expect(failure).rejects.toThrow(`move_pages(${args}): ESRCH`);
  });

  test('so is a node that is not there', async () => {
    const failure = movePages({ pid, pages: pages.subarray(0, 1), targetNodeId: 1000 });
    await expect(failure).rejects.toMatchObject({ code: 'TIERD_SYSCALL' });
  });

  test('one failed call does not hold up the next', async () => {
    const failed = movePages({ pid: 2 ** 22 - 1, pages: Float64Array.of(1) });
    const good = movePages({ pid, pages: pages.subarray(0, 1) });
    await expect(failed).rejects.toThrow();
    expect(await good).toHaveLength(1);
  });

  test('calls of all who load it wait in one queue', async () => {
    const ended: string[] = [];
    const others = await hostMovePages();
    await Promise.all([
      movePages({ pid, pages }).then(() => ended.push('many pages')),
      others({ pid, pages: pages.subarray(0, 1) }).then(() => ended.push('one page')),
    ]);
    expect(ended).toEqual(['many pages', 'one page']);
  });

  test('never holds up the event loop for long', async () => {
    const delay = monitorEventLoopDelay({ resolution: 1 });
    delay.enable();
    for (let round = 0; round < 10; round += 1) await movePages({ pid, pages });
    delay.disable();
    // Nanoseconds.
    expect(delay.percentile(99) / 1e6).toBeLessThan(20);
  });
});
