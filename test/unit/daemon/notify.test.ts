import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { createNotifier } from '../../../daemon/notify.ts';

let directory: string;
beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), 'tierd-notify-'));
  const tool = '#!/bin/sh\nfor word; do echo "$NOTIFY_SOCKET $word" >> "$0.log"; done\n';
  await writeFile(join(directory, 'systemd-notify'), tool, { mode: 0o755 });
});
afterAll(() => rm(directory, { recursive: true }));

function notifier(environment: NodeJS.ProcessEnv) {
  const warnings: string[] = [];
  const quiet = () => undefined;
  const logger = { debug: quiet, info: quiet, error: quiet, warn: (_: object, text: string) => warnings.push(text) };
  return { warnings, notifier: createNotifier(environment, logger) };
}

test('tells systemd through systemd-notify, and nobody without NOTIFY_SOCKET', async () => {
  const PATH = `${directory}:${process.env.PATH}`;
  await notifier({ PATH }).notifier.ready('not told');
  const told = notifier({ PATH, NOTIFY_SOCKET: '/run/n' });
  await told.notifier.ready('watching 2 nodes');
  await told.notifier.stopping('bye');
  expect(await readFile(join(directory, 'systemd-notify.log'), 'utf8')).toBe(
    ['--ready', '--status=watching 2 nodes', 'STOPPING=1', '--status=bye'].map((word) => `/run/n ${word}\n`).join(''),
  );
  expect(told.warnings).toEqual([]);
});

test('goes on without systemd-notify', async () => {
  const alone = notifier({ PATH: '/nonexistent', NOTIFY_SOCKET: '/run/n' });
  await alone.notifier.ready('x');
  expect(alone.warnings).toEqual(['systemd was not told: systemd-notify failed']);
});

test('words arrive in the order in which they were said', async () => {
  const PATH = `${directory}:${process.env.PATH}`;
  const { notifier: told } = notifier({ PATH, NOTIFY_SOCKET: '/run/order' });
  await Promise.all([told.status('starting'), told.ready('at work'), told.alive('still')]);
  const lines = (await readFile(join(directory, 'systemd-notify.log'), 'utf8')).split('\n');
  expect(lines.filter((line) => line.startsWith('/run/order --status'))).toEqual(
    ['starting', 'at work', 'still'].map((text) => `/run/order --status=${text}`),
  );
});
