import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { buildDebianPackage } from '../../../scripts/debian-package.ts';
import { ensureHostTool } from '../host-packages.ts';
import { runHost } from '../host-process.ts';
import { progressToStderr } from '../progress.ts';

describe('the Debian packages', () => {
  let directory: string;

  beforeAll(async () => {
    await ensureHostTool({ program: 'lintian', probe: ['--version'], package: 'lintian' }, progressToStderr);
    directory = await mkdtemp(join(tmpdir(), 'tierd-lintian-'));
  });

  afterAll(() => rm(directory, { recursive: true, force: true }));

  test.each(['amd64', 'arm64'] as const)('for %s have nothing that lintian calls an error', async (architecture) => {
    const path = await buildDebianPackage({ architecture, directory });
    const found = await runHost('lintian', ['--fail-on', 'error', '--allow-root', path]);
    console.log(found.stdout);
    expect(found.exitCode, found.stdout + found.stderr).toBe(0);
  });
});
