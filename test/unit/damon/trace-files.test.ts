import { spawnSync } from 'node:child_process';
import { appendFileSync, closeSync, mkdtempSync, openSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { HostTraceFiles } from '../../../tiering/damon/trace-files.ts';

test('an empty buffer is not waited for, and gives its pages one by one', () => {
  const root = mkdtempSync(join(tmpdir(), 'tierd-trace-'));
  // A FIFO says EAGAIN where the kernel's ring buffer does.
  expect(spawnSync('mkfifo', [join(root, 'trace_pipe_raw')]).status).toBe(0);
  const pages = new HostTraceFiles(root).openPages('/trace_pipe_raw');
  const writer = openSync(join(root, 'trace_pipe_raw'), 'a');
  const page = new Uint8Array(4096);
  expect(pages.readNow(page)).toBe(0);
  appendFileSync(writer, new Uint8Array(4096).fill(1));
  appendFileSync(writer, new Uint8Array(4096).fill(2));
  expect([pages.readNow(page), page[4095]]).toEqual([4096, 1]);
  expect([pages.readNow(page), page[4095]]).toEqual([4096, 2]);
  expect(pages.readNow(page)).toBe(0);
  pages.close();
  closeSync(writer);
  rmSync(root, { recursive: true });
});
