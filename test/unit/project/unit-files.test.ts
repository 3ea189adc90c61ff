import { readFileSync } from 'node:fs';
import { dirname } from 'node:path';
import { expect, test } from 'vitest';
import { parseConfig } from '../../../daemon/config.ts';

const read = (path: string): string => readFileSync(new URL(`../../../${path}`, import.meta.url), 'utf8');
const { api, stateDirectory } = parseConfig('', 'tierd.yaml');
const unit = read('systemd/tierd.service');
const groups = [...read('systemd/tierd.sysusers.conf').matchAll(/^g (\S+) -$/gm)].map(([, name]) => name);
const folders = new Map(
  [...read('systemd/tierd.tmpfiles.conf').matchAll(/^d (\S+) (\d+) root (\S+) -$/gm)].map(
    ([, path = '', mode, group]) => [path, { mode, group }],
  ),
);

test('the socket of readers gets a group of its own from its directory, into which the sandbox lets the daemon write', () => {
  const folder = dirname(api.readSocket);
  expect(folders.get(folder)).toEqual({ mode: '2750', group: 'tierd-read' });
  expect(/^ReadWritePaths=(.*)$/m.exec(unit)?.[1]?.split(' ')).toContain(`-${folder}`);
  // Who may only read does not reach the other socket.
  expect(`/run/${/^RuntimeDirectory=(.*)$/m.exec(unit)?.[1]}`).toBe(dirname(api.socket));
  expect(folder).not.toBe(dirname(api.socket));
  expect(/^Group=(.*)$/m.exec(unit)?.[1]).toBe('tierd');
});

test('every group is made, without systemd too, and goes with the package, as do its directories', () => {
  const used = [/^Group=(.*)$/m.exec(unit)?.[1], ...[...folders.values()].map(({ group }) => group)];
  expect([...new Set(used)].sort()).toEqual([...groups].sort());
  const [postinst, postrm] = [read('packaging/postinst'), read('packaging/postrm')];
  for (const script of [postinst, postrm]) expect(script).toContain(`for group in ${groups.join(' ')}; do`);
  for (const path of [stateDirectory, dirname(api.socket), dirname(api.readSocket)])
    expect(/^ {2}rm -rf \/var\/lib.*$/m.exec(postrm)?.[0].split(' ')).toContain(path);
});
