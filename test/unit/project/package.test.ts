import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { buildDebianPackage } from '../../../scripts/debian-package.ts';

const dpkg = (...args: string[]) => execFileSync('dpkg-deb', args, { encoding: 'utf8' });
let directory: string;
let path: string;
beforeAll(async () => {
  directory = mkdtempSync(join(tmpdir(), 'tierd-deb-'));
  path = await buildDebianPackage({ architecture: 'amd64', directory, version: '1.2.3' });
}, 60_000);
afterAll(() => rmSync(directory, { recursive: true }));

test('the package has what a host needs, owned by root, and nothing of development', () => {
  const listing = dpkg('-c', path);
  const files = listing.split('\n').map((line) => line.split(/\s+/).at(-1) ?? '');
  for (const wanted of [
    './usr/bin/tierd',
    './usr/lib/tierd/tierd.js',
    './usr/lib/tierd/node_modules/@koromix/koffi-linux-x64/linux_x64/koffi.node',
    './usr/lib/systemd/system/tierd.service',
    './usr/lib/sysusers.d/tierd.conf',
    './usr/lib/tmpfiles.d/tierd.conf',
    './usr/share/doc/tierd/examples/systemd/tcp.conf',
    './usr/share/doc/tierd/operating/troubleshoot.md',
    './usr/share/doc/tierd/reference/configuration.md',
    './etc/tierd/tierd.yaml',
    './usr/share/man/man8/tierd.8.gz',
    './usr/share/bash-completion/completions/tierd',
  ]) {
    expect(files).toContain(wanted);
  }
  expect(files.filter((file) => /vitest|typescript|\.ts$|musl|tierd\.8$/.test(file))).toEqual([]);
  expect(listing.split('\n').filter((line) => line !== '' && !line.includes(' root/root '))).toEqual([]);
});

test('its scripts are for a plain shell, and are run by dpkg', () => {
  dpkg('-e', path, join(directory, 'control'));
  for (const name of ['postinst', 'prerm', 'postrm']) {
    const script = join(directory, 'control', name);
    expect(statSync(script).mode & 0o777).toBe(0o755);
    execFileSync('sh', ['-n', script]);
  }
});

test("the package depends on Debian's nodejs, keeps the configuration, and names its version", () => {
  expect(dpkg('-f', path, 'Version').trim()).toBe('1.2.3');
  expect(dpkg('-f', path, 'Depends')).toContain('nodejs (>= 20.19)');
  expect(dpkg('-I', path, 'conffiles').trim()).toBe('/etc/tierd/tierd.yaml');
  dpkg('-x', path, join(directory, 'files'));
  const unit = readFileSync(join(directory, 'files/usr/lib/systemd/system/tierd.service'), 'utf8');
  expect(unit).toContain('/usr/lib/tierd/tierd.js run');
  expect(unit).not.toContain('/opt/');
});
