import { chmod, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { readToken } from '../../../daemon/token-file.ts';

let directory: string;
let path: string;
beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), 'tierd-token-'));
  path = join(directory, 'token');
});
afterEach(() => rm(directory, { recursive: true }));

test('is a file of one long word that only its owner reads', async () => {
  await writeFile(path, `${'x'.repeat(40)}\n`, { mode: 0o600 });
  expect(await readToken(path)).toBe('x'.repeat(40));
});

test.each([
  ['short', 'secret', 0o600, /at least 32 characters; make one with/],
  ['of two words', `${'x'.repeat(40)} y`, 0o600, /one word/],
  ['readable by others', 'x'.repeat(40), 0o644, /is readable by others \(mode 644\): chmod 600/],
])('one that is %s is refused with the way out', async (_what, text, mode, reason) => {
  await writeFile(path, text);
  await chmod(path, mode);
  await expect(readToken(path)).rejects.toMatchObject({ code: 'TIERD_CONFIG', message: expect.stringMatching(reason) });
});

test('a missing one is refused with the way out', async () => {
  await expect(readToken(path)).rejects.toMatchObject({
    code: 'TIERD_CONFIG',
    message: expect.stringMatching(/ENOENT.*make one with: \(umask 077/),
  });
});
