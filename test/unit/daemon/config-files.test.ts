import { execFileSync } from 'node:child_process';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { loadConfig } from '../../../daemon/config.ts';

let directory: string;
let path: string;
beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), 'tierd-config-'));
  path = join(directory, 'tierd.yaml');
});
afterEach(() => rm(directory, { recursive: true }));

const manyKeys = (count: number) => Array.from({ length: count }, (_, index) => `k${index}: 1\n`).join('');

test.each([
  ['UTF-16', Buffer.from('\ufeffdryRun: true\n', 'utf16le'), /UTF-16: save it as UTF-8/],
  ['UTF-16 without a mark', Buffer.from('dryRun: true\n', 'utf16le'), /byte 1 is zero/],
  ['a zero byte', Buffer.from('dryRun: true\n\0'), /byte 13 is zero/],
  ['Latin-1', Buffer.from('# gr\xfcn\n', 'latin1'), /not UTF-8/],
  ['200,000 keys', Buffer.from(manyKeys(200_000)), /at most 262144: is this the right file\?/],
  ['20,000 keys', Buffer.from(manyKeys(20_000)), /more keys and values than any configuration has/],
  ['as many keys as are read', Buffer.from(manyKeys(3_000)), /k0: unknown key/],
  ['two documents', Buffer.from('dryRun: true\n---\ndryRun: false\n'), /a second YAML document begins here/],
])('%s is told within a second of CPU time', { timeout: 10_000 }, async (_what, bytes, message) => {
  await writeFile(path, bytes);
  const before = process.cpuUsage();
  await expect(loadConfig(path)).rejects.toThrow(message);
  // Of CPU time: on a loaded machine the clock of the wall runs on.
  const { user, system } = process.cpuUsage(before);
  expect((user + system) / 1e6).toBeLessThan(1);
});

test('a FIFO and a folder are refused at once', async () => {
  execFileSync('mkfifo', [path]);
  for (const file of [path, directory]) await expect(loadConfig(file)).rejects.toThrow(/no regular file/);
});
