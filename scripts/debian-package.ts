import { execFile } from 'node:child_process';
import { createHash } from 'node:crypto';
import { chmod, cp, lstat, mkdir, mkdtemp, readdir, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join, relative } from 'node:path';
import { promisify } from 'node:util';
import { gzipSync } from 'node:zlib';
import { completion } from '../daemon/completion.ts';
import { bundleInto, ROOT } from './bundle.ts';
import { addNativePart } from './native-package.ts';

const run = promisify(execFile);

/** Debian's name of an architecture, and Node's. */
export const ARCHITECTURES = { amd64: 'x64', arm64: 'arm64' } as const;
export type Architecture = keyof typeof ARCHITECTURES;

const PROGRAM = '/usr/lib/tierd';
const MAINTAINER = 'The tierd developers <tierd@users.noreply.github.com>';
const SCRIPTS = ['postinst', 'prerm', 'postrm'];

export interface PackageOptions {
  readonly architecture: Architecture;
  /** Where the package is written. */
  readonly directory: string;
  /** Default: that of package.json. */
  readonly version?: string;
}

/** Builds a Debian package with dpkg-deb and gives its path. It needs no build tools, and no root: files belong to root in the archive. */
export async function buildDebianPackage({
  architecture,
  directory,
  version: wanted,
}: PackageOptions): Promise<string> {
  const staging = await mkdtemp(join(tmpdir(), 'tierd-package-'));
  try {
    const root = join(staging, 'root');
    const version = await stageProgram(root, architecture, wanted);
    await stageSystem(root);
    await stageDocuments(root, version);
    await stageControl(root, architecture, version);
    await setModes(root);
    await mkdir(directory, { recursive: true });
    const name = `tierd_${version}_${architecture}.deb`;
    const built = join(staging, name);
    await run('dpkg-deb', ['--root-owner-group', '-Zxz', '--build', root, built]);
    const path = join(directory, name);
    await cp(built, path);
    return path;
  } finally {
    await rm(staging, { recursive: true, force: true });
  }
}

async function stageProgram(root: string, architecture: Architecture, wanted: string | undefined): Promise<string> {
  const program = join(root, PROGRAM);
  const version = await bundleInto(program, wanted);
  await addNativePart(ARCHITECTURES[architecture], join(program, 'node_modules'));
  await rm(join(program, 'systemd'), { recursive: true });
  await put(root, '/etc/tierd/tierd.yaml', await readFile(join(program, 'tierd.yaml'), 'utf8'));
  await rm(join(program, 'tierd.yaml'));
  const page = await readFile(join(program, 'tierd.8'));
  await put(root, '/usr/share/man/man8/tierd.8.gz', gzipSync(page, { level: 9 }));
  await rm(join(program, 'tierd.8'));
  await put(root, '/usr/bin/tierd', `#!/bin/sh\nexec /usr/bin/node ${PROGRAM}/tierd.js "$@"\n`);
  return version;
}

async function stageSystem(root: string): Promise<void> {
  const unit = await readFile(join(ROOT, 'systemd/tierd.service'), 'utf8');
  await put(root, '/usr/lib/systemd/system/tierd.service', unit.replaceAll('/opt/tierd', PROGRAM));
  await put(root, '/usr/lib/sysusers.d/tierd.conf', await readFile(join(ROOT, 'systemd/tierd.sysusers.conf'), 'utf8'));
  await put(root, '/usr/lib/tmpfiles.d/tierd.conf', await readFile(join(ROOT, 'systemd/tierd.tmpfiles.conf'), 'utf8'));
  await put(root, '/usr/share/bash-completion/completions/tierd', completion('bash'));
  await put(root, '/usr/share/fish/vendor_completions.d/tierd.fish', completion('fish'));
}

async function stageDocuments(root: string, version: string): Promise<void> {
  const documents = '/usr/share/doc/tierd';
  await put(root, `${documents}/copyright`, await readFile(join(ROOT, 'packaging/copyright'), 'utf8'));
  const date = new Date().toUTCString().replace('GMT', '+0000');
  const changes = `tierd (${version}) unstable; urgency=medium\n\n  * See CHANGELOG.md of the project.\n\n -- ${MAINTAINER}  ${date}\n`;
  await put(root, `${documents}/changelog.gz`, gzipSync(changes, { level: 9 }));
  await cp(join(ROOT, 'examples'), join(root, documents, 'examples'), { recursive: true });
  // What an operator without network needs.
  for (const folder of ['operating', 'reference']) {
    await cp(join(ROOT, 'docs', folder), join(root, documents, folder), { recursive: true });
  }
}

async function stageControl(root: string, architecture: Architecture, version: string): Promise<void> {
  const files = await filesBelow(root);
  const sizes = await Promise.all(files.map(async (path) => (await lstat(path)).size));
  const kib = Math.ceil(sizes.reduce((sum, size) => sum + size, 0) / 1024);
  const sums = await Promise.all(
    files.map(async (path) => {
      const sum = createHash('md5')
        .update(await readFile(path))
        .digest('hex');
      return `${sum}  ${relative(root, path)}\n`;
    }),
  );
  await put(
    root,
    '/DEBIAN/control',
    `Package: tierd
Version: ${version}
Architecture: ${architecture}
Maintainer: ${MAINTAINER}
Installed-Size: ${kib}
Depends: libc6, libgcc-s1, libstdc++6, nodejs (>= 20.19), systemd (>= 252)
Section: admin
Priority: optional
Description: tiered-memory (CXL) management daemon
 Watches physical memory with Linux DAMON, promotes hot and demotes cold memory
 between DRAM and CXL memory, and holds the fast tier at the utilization that the
 operator asked for. It is steered and inspected over a local REST API.
`,
  );
  await put(root, '/DEBIAN/conffiles', '/etc/tierd/tierd.yaml\n');
  await put(root, '/DEBIAN/md5sums', sums.join(''));
  for (const name of SCRIPTS) {
    await put(root, `/DEBIAN/${name}`, await readFile(join(ROOT, 'packaging', name), 'utf8'));
  }
}

/** Files are readable by all and written by root; programs and scripts can be executed. */
async function setModes(root: string): Promise<void> {
  const programs = new Set(['usr/bin/tierd', ...SCRIPTS.map((name) => `DEBIAN/${name}`)]);
  for (const path of await filesBelow(root)) await chmod(path, programs.has(relative(root, path)) ? 0o755 : 0o644);
  for (const path of await directoriesBelow(root)) await chmod(path, 0o755);
}

async function put(root: string, path: string, content: string | Uint8Array): Promise<void> {
  const target = join(root, path);
  await mkdir(dirname(target), { recursive: true });
  await writeFile(`${target}.new`, content);
  await rename(`${target}.new`, target);
}

async function filesBelow(directory: string): Promise<readonly string[]> {
  const entries = await readdir(directory, { withFileTypes: true, recursive: true });
  return entries
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath, entry.name))
    .sort();
}

async function directoriesBelow(directory: string): Promise<readonly string[]> {
  const entries = await readdir(directory, { withFileTypes: true, recursive: true });
  const below = entries.filter((entry) => entry.isDirectory()).map((entry) => join(entry.parentPath, entry.name));
  return [directory, ...below];
}
