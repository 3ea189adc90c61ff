import { execFile } from 'node:child_process';
import { createHash } from 'node:crypto';
import { cp, mkdtemp, readdir, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { isJsonObject } from '../api/schema/json-schema.ts';
import { ROOT } from './bundle.ts';

const run = promisify(execFile);

/**
 * Puts koffi's compiled part for an architecture into a node_modules folder: the one that is installed here, or else the very one that package-lock.json
 * names, fetched from npm and checked.
 *
 * @param cpu as Node names it, `x64` or `arm64`
 */
export async function addNativePart(cpu: string, nodeModules: string): Promise<void> {
  const name = `@koromix/koffi-linux-${cpu}`;
  const target = join(nodeModules, name);
  await rm(join(nodeModules, '@koromix'), { recursive: true, force: true });
  if (cpu === process.arch) {
    await copyGlibcPart(join(ROOT, 'node_modules', name), target);
    return;
  }
  const { version, integrity } = await locked(name);
  const directory = await mkdtemp(join(tmpdir(), 'tierd-native-'));
  try {
    await run('npm', ['pack', '--silent', '--pack-destination', directory, `${name}@${version}`], { cwd: directory });
    const [archive = ''] = await readdir(directory);
    const path = join(directory, archive);
    const found = `sha512-${createHash('sha512')
      .update(await readFile(path))
      .digest('base64')}`;
    if (found !== integrity) throw new Error(`${name}@${version} is not what package-lock.json names: ${found}`);
    await run('tar', ['-xzf', path, '-C', directory]);
    await copyGlibcPart(join(directory, 'package'), target);
  } finally {
    await rm(directory, { recursive: true, force: true });
  }
}

/** Debian has glibc: the part for musl stays out. */
function copyGlibcPart(from: string, to: string): Promise<void> {
  return cp(from, to, { recursive: true, filter: (path) => !path.slice(from.length).startsWith('/musl') });
}

async function locked(name: string): Promise<{ readonly version: string; readonly integrity: string }> {
  const lock: unknown = JSON.parse(await readFile(join(ROOT, 'package-lock.json'), 'utf8'));
  const packages = isJsonObject(lock) && isJsonObject(lock.packages) ? lock.packages : {};
  const entry = packages[`node_modules/${name}`];
  if (!isJsonObject(entry) || typeof entry.version !== 'string' || typeof entry.integrity !== 'string') {
    throw new Error(`package-lock.json does not know ${name}`);
  }
  return { version: entry.version, integrity: entry.integrity };
}
