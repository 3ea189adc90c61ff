import { execFileSync } from 'node:child_process';
import { appendFile, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { buildDebianPackage } from '../../scripts/debian-package.ts';
import { eventually } from './eventually.ts';
import type { Guest } from './guest.ts';
import { bootGuest } from './guest.ts';
import { ONCE } from './safety.ts';

const older = '0.0.9';
const newer = '0.1.0';

/** Installing changes the guest for good: the tests follow each other. */
describe('the Debian package', () => {
  let guest: Guest;
  let directory: string;

  beforeAll(async () => {
    directory = await mkdtemp(join(tmpdir(), 'tierd-packages-'));
    const packages = [];
    for (const version of [older, newer]) {
      packages.push(await buildDebianPackage({ architecture: 'amd64', directory, version }));
    }
    await changeConfiguration(packages[0] ?? '');
    guest = await bootGuest({ kernel: '6.12', topology: 'numa2' });
    for (const path of packages) await guest.copyIn(path, `/root/${basename(path)}`);
    // As the image was built: nothing may start. A host says no such thing.
    await guest.check('rm -f /usr/sbin/policy-rc.d');
  }, 1_800_000);

  afterAll(async () => {
    await guest?.shutdown();
    await rm(directory, { recursive: true, force: true });
  });

  /** As unattended upgrades do: an edited configuration file stays, without a question. */
  const apt = (command: string) =>
    guest.check(
      `DEBIAN_FRONTEND=noninteractive apt-get -y -q -o Dpkg::Options::=--force-confdef -o Dpkg::Options::=--force-confold ${command} 2>&1`,
      { timeoutMs: 180_000 },
    );
  const status = async (): Promise<{ version: string; state: string }> =>
    JSON.parse((await guest.run('tierd status --json')).stdout || '{"version":"","state":""}');
  const kdamondPids = async (): Promise<readonly number[]> => {
    const { kdamonds }: { kdamonds: readonly { pid: number }[] } = JSON.parse(
      await guest.check('tierd schemes --json'),
    );
    return kdamonds.map(({ pid }) => pid);
  };
  const mainPid = async () => (await guest.check('systemctl show -P MainPID tierd')).trim();
  const policy = () => guest.check('tierd policy get');
  const runs = (version: string) =>
    eventually(`${version} is at work`, 120_000, async () => {
      const { version: found, state } = await status();
      return found === version && ['moving', 'settled'].includes(state);
    });

  it('is installed by one command, and the daemon is up', async () => {
    await apt(`install /root/tierd_${older}_amd64.deb`);
    await runs(older);
    expect((await guest.check('systemctl is-enabled tierd')).trim()).toBe('enabled');
    expect((await guest.check('stat -c "%U:%G %a" /run/tierd/tierd.sock')).trim()).toBe('root:tierd 660');
    expect((await guest.check('stat -c "%U:%G %a" /run/tierd-read/tierd.sock')).trim()).toBe('root:tierd-read 660');
    expect(await guest.check('tierd completion bash')).toContain('complete -F _tierd tierd');
  }, 300_000);

  it('is upgraded while it runs: the same kdamonds, the policy that was set, and the configuration that was edited', async () => {
    await guest.check('echo "headroomMiB: 77" >>/etc/tierd/tierd.yaml');
    await guest.check('tierd policy set fastUtilization=0.8');
    const before = await kdamondPids();
    expect(before.length).toBeGreaterThan(0);
    await apt(`install /root/tierd_${newer}_amd64.deb`);
    await runs(newer);
    expect(await kdamondPids()).toEqual(before);
    expect(await policy()).toMatch(/^fastUtilization +0\.8 +REST$/m);
    expect(await policy()).toMatch(/^headroomMiB +77 +file$/m);
    // What the package would have written lies beside it.
    expect(await guest.check('cat /etc/tierd/tierd.yaml.dpkg-dist')).not.toContain('headroomMiB: 77');
  }, 300_000);

  it('is installed over itself: another process goes on with the same kdamonds', async () => {
    const before = await kdamondPids();
    const pid = await mainPid();
    await apt(`install --reinstall /root/tierd_${newer}_amd64.deb`);
    await eventually('another process is there', 120_000, async () => !['0', pid].includes(await mainPid()));
    await runs(newer);
    expect(await kdamondPids()).toEqual(before);
    expect(await policy()).toMatch(/^fastUtilization +0\.8 +REST$/m);
    expect(await policy()).toMatch(/^headroomMiB +77 +file$/m);
  }, 300_000);

  it('is removed with DAMON as it was, and comes back with what was set', { ...ONCE, timeout: 300_000 }, async () => {
    await apt('remove tierd');
    expect((await guest.run('systemctl is-active tierd')).exitCode).not.toBe(0);
    expect((await guest.check('cat /sys/kernel/mm/damon/admin/kdamonds/nr_kdamonds')).trim()).toBe('0');
    await apt(`install /root/tierd_${newer}_amd64.deb`);
    await runs(newer);
    expect((await guest.check('systemctl is-enabled tierd')).trim()).toBe('enabled');
    expect(await policy()).toMatch(/^fastUtilization +0\.8 +REST$/m);
    expect(await policy()).toMatch(/^headroomMiB +77 +file$/m);
  });

  it('is purged without a trace', { ...ONCE, timeout: 300_000 }, async () => {
    await apt('purge tierd');
    expect((await guest.check('cat /sys/kernel/mm/damon/admin/kdamonds/nr_kdamonds')).trim()).toBe('0');
    // /opt/tierd is the guest image's own: other tests mount their build there.
    const left = await guest.check(
      `find / -xdev \\( -path /opt -o -path /proc -o -path /sys -o -path /root -o -path /var/log \\) -prune -o -name '*tierd*' -print`,
    );
    expect(left.trim()).toBe('');
    expect((await guest.check('find /run -name "*tierd*"')).trim()).toBe('');
    expect((await guest.run('getent group tierd tierd-read')).stdout.trim()).toBe('');
  });
});

/** Gives a package another configuration file than its successor has. */
async function changeConfiguration(path: string): Promise<void> {
  const unpacked = `${path}.unpacked`;
  execFileSync('dpkg-deb', ['-R', path, unpacked]);
  await appendFile(join(unpacked, 'etc/tierd/tierd.yaml'), '# An older file.\n');
  execFileSync('dpkg-deb', ['--root-owner-group', '-Znone', '-b', unpacked, path], { stdio: 'ignore' });
}
