import { spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { cp, mkdtemp, readdir, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { MEASURE_NODE } from '../../../daemon/own-command.ts';
import { bundleInto } from '../../../scripts/bundle.ts';

// Outside the repository: no node_modules is in reach, as on another machine.
let directory: string;
let version: string;
beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), 'tierd-bundle-'));
  version = await bundleInto(join(directory, 'dist'));
}, 60_000);
afterAll(() => rm(directory, { recursive: true }));

function tierd(...args: string[]) {
  return tierdIn('dist', ...args);
}

function tierdIn(folder: string, ...args: string[]) {
  const { status, stdout, stderr } = spawnSync(process.execPath, [join(directory, folder, 'tierd.js'), ...args], {
    encoding: 'utf8',
    cwd: directory,
    env: { PATH: process.env.PATH },
  });
  return { status, stdout, stderr };
}

test('holds what a host needs', async () => {
  const files = await readdir(join(directory, 'dist'), { recursive: true });
  for (const file of [
    'tierd.js',
    'node_modules/koffi/package.json',
    'package.json',
    'tierd.yaml',
    'tierd.8',
    'systemd/tierd.service',
    'systemd/install.sh',
  ]) {
    expect(files).toContain(file);
  }
});

test('answers --version and --help', () => {
  const manifest = JSON.parse(readFileSync(new URL('../../../package.json', import.meta.url), 'utf8'));
  expect(version).toBe(manifest.version);
  expect(tierd('--version')).toEqual({ status: 0, stdout: `tierd ${version}\n`, stderr: '' });
  expect(tierd('run', '--help').stdout).toMatch(/^Usage: tierd run/);
});

test('tells a wrong command line by code 64', () => {
  expect(tierd('runn')).toEqual({
    status: 64,
    stdout: '',
    stderr: "tierd: unknown command 'runn' (Did you mean run?); tierd --help shows what there is [TIERD_USAGE]\n",
  });
});

test('loads the whole daemon, and tells a wrong configuration by code 78', async () => {
  const file = join(directory, 'tierd.yaml');
  await writeFile(file, 'dryRun: true\nfastUtilization: 2\n');
  expect(tierd('run', '--config', file)).toEqual({
    status: 78,
    stdout: '',
    stderr: `tierd: ${file}:2: fastUtilization: 2 is not allowed: must be a number from 0.05 to 0.99 [TIERD_CONFIG]\n`,
  });
});

test('starts without koffi, and says what to install when a system call is needed', async () => {
  for (const file of ['tierd.js', 'package.json']) {
    await cp(join(directory, 'dist', file), join(directory, 'bare', file));
  }
  const file = join(directory, 'bare', 'tierd.yaml');
  await writeFile(file, 'engine: damon\n');
  expect(tierdIn('bare', '--version')).toEqual({ status: 0, stdout: `tierd ${version}\n`, stderr: '' });
  expect(tierdIn('bare', 'run', '--config', file)).toMatchObject({
    status: 78,
    stderr: expect.stringContaining('[TIERD_CONFIG]'),
  });
  const answer: unknown = JSON.parse(tierdIn('bare', MEASURE_NODE, '0', '2097152', '0').stdout);
  expect(answer).toEqual({
    failure: expect.stringMatching(/^cannot load koffi \(Cannot find package 'koffi'.*: install it beside tierd with/),
  });
});
