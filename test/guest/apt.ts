import { chmodSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { GuestError } from './errors.ts';
import { runHost, tail } from './host-process.ts';
import { debianMirror } from './mirror.ts';

/**
 * Runs `use` with apt options that make apt see the given suites of the machine's own mirror, and nothing else.
 * apt's configuration on the machine stays as it is: sources and lists live in a directory that is removed afterwards.
 */
export async function withSuites<T>(
  suites: readonly string[],
  use: (aptOptions: readonly string[]) => Promise<T>,
): Promise<T> {
  const directory = mkdtempSync(join(tmpdir(), 'tierd-apt-'));
  try {
    for (const name of ['lists/partial', 'parts', 'cache']) mkdirSync(join(directory, name), { recursive: true });
    // apt drops to its own user for downloads, which must be able to enter.
    chmodSync(directory, 0o755);
    const mirror = debianMirror();
    writeFileSync(
      join(directory, 'parts', 'debian.sources'),
      `Types: deb\nURIs: ${mirror.uri}\nSuites: ${suites.join(' ')}\nComponents: main\nSigned-By: ${mirror.signedBy}\n`,
    );
    const options = [
      `Dir::Etc::SourceParts=${join(directory, 'parts')}`,
      'Dir::Etc::SourceList=/dev/null',
      `Dir::State::Lists=${join(directory, 'lists')}`,
      `Dir::Cache=${join(directory, 'cache')}`,
      'Acquire::Languages=none',
    ].flatMap((option) => ['-o', option]);
    const update = await runHost('apt-get', [...options, 'update', '-q']);
    if (update.exitCode !== 0) {
      throw new GuestError(
        'MIRROR_MISSING',
        `apt-get update for ${suites.join(', ')} failed; check that the machine's Debian mirror carries these suites:\n${tail(update.stderr, 5)}`,
      );
    }
    return await use(options);
  } finally {
    rmSync(directory, { recursive: true, force: true });
  }
}
