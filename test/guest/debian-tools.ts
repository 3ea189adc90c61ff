import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, renameSync, rmSync } from 'node:fs';
import { homedir } from 'node:os';
import { join } from 'node:path';
import { withSuites } from './apt.ts';
import { GuestError } from './errors.ts';
import { runHost, tail } from './host-process.ts';
import type { Progress } from './progress.ts';
import { step } from './progress.ts';

/**
 * A directory with the files of a Debian package, such as `usr/bin/promtool`: downloaded and unpacked beside the guest images, so that nothing is
 * installed on this machine, needs root, or starts a service.
 */
export async function debianPackage(name: string, progress: Progress): Promise<string> {
  const cache = join(process.env.XDG_CACHE_HOME ?? join(homedir(), '.cache'), 'tierd', 'packages');
  const directory = join(cache, name);
  if (existsSync(directory)) return directory;
  mkdirSync(cache, { recursive: true });
  const building = mkdtempSync(join(cache, '.building-'));
  try {
    await step(progress, `downloading ${name}`, () => download(name, building));
    renameSync(join(building, 'files'), directory);
  } finally {
    rmSync(building, { recursive: true, force: true });
  }
  return directory;
}

async function download(name: string, directory: string): Promise<void> {
  await withSuites([codename()], async (aptOptions) => {
    const got = await runHost('sh', [
      '-c',
      'cd "$1" && shift && exec apt-get "$@"',
      'sh',
      directory,
      ...aptOptions,
      // Root hands downloads to a user who may not enter here.
      '-o',
      'APT::Sandbox::User=root',
      'download',
      '-q',
      name,
    ]);
    if (got.exitCode !== 0) {
      throw new GuestError('HOST_PACKAGES_MISSING', `apt-get download ${name} failed:\n${tail(got.stderr, 5)}`);
    }
  });
  const archive = readdirSync(directory).find((file) => file.endsWith('.deb')) ?? '';
  const unpacked = await runHost('dpkg-deb', ['-x', join(directory, archive), join(directory, 'files')]);
  if (unpacked.exitCode !== 0) {
    throw new GuestError('HOST_PACKAGES_MISSING', `dpkg-deb -x ${archive} failed:\n${tail(unpacked.stderr, 5)}`);
  }
}

function codename(): string {
  const found = /^VERSION_CODENAME=(\w+)$/m.exec(readFileSync('/etc/os-release', 'utf8'))?.[1];
  if (found === undefined)
    throw new GuestError('HOST_UNSUPPORTED', 'this is no Debian machine: its packages are not to be had');
  return found;
}
