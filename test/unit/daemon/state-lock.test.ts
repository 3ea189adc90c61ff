import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pino } from 'pino';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { lockStateDirectory } from '../../../daemon/state-file.ts';

const logger = pino({ level: 'silent' });
let directory: string;
beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), 'tierd-lock-'));
});
afterEach(() => rm(directory, { recursive: true }));

test('a second daemon with the same state directory is refused until the first has ended', async () => {
  const first = await lockStateDirectory(directory, logger);
  await expect(lockStateDirectory(directory, logger)).rejects.toMatchObject({
    code: 'TIERD_ALREADY_RUNNING',
    message: expect.stringContaining(directory),
  });
  await first?.close();
  const second = await lockStateDirectory(directory, logger);
  expect(second).toBeDefined();
  await second?.close();
});

test('a lock dies with its process, also by SIGKILL', async () => {
  const holder = spawn(
    process.execPath,
    [
      '--import',
      'tsx',
      '--input-type=module',
      '-e',
      `import { tryLock } from '${new URL('../../../numa/syscalls/file-lock.ts', import.meta.url).href}';
globalThis.lock = await tryLock(${JSON.stringify(directory)}); process.stdout.write('locked'); setInterval(() => {}, 1000);`,
    ],
    { stdio: ['ignore', 'pipe', 'inherit'] },
  );
  await once(holder.stdout, 'data');
  await expect(lockStateDirectory(directory, logger)).rejects.toMatchObject({ code: 'TIERD_ALREADY_RUNNING' });
  const ended = once(holder, 'exit');
  holder.kill('SIGKILL');
  await ended;
  const lock = await lockStateDirectory(directory, logger);
  expect(lock).toBeDefined();
  await lock?.close();
}, 30_000);
