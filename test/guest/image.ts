import { createHash } from 'node:crypto';
import {
  chmodSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  renameSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { homedir } from 'node:os';
import { dirname, join } from 'node:path';
import { GuestError } from './errors.ts';
import { ensureHostPackages } from './host-packages.ts';
import { runHost, shellQuote, tail } from './host-process.ts';
import type { ImageRecipe } from './image-recipe.ts';
import { customizeScript, imageFiles, imagePackages, userlandSuite } from './image-recipe.ts';
import type { KernelPackage } from './kernels.ts';
import { findKernel } from './kernels.ts';
import { debianMirror } from './mirror.ts';
import type { Progress } from './progress.ts';
import { step } from './progress.ts';

/** A guest's disk, kernel and key; read-only for those who boot it. */
export interface GuestImage {
  readonly disk: string;
  readonly kernel: string;
  readonly initrd: string;
  readonly privateKey: string;
  /** As `uname -r` says in the guest. */
  readonly release: string;
}

/** Directory outside the repository for what takes long to make. */
export function cacheDirectory(): string {
  const base = process.env.XDG_CACHE_HOME;
  return join(base === undefined || base === '' ? join(homedir(), '.cache') : base, 'tierd');
}

/** The image of a recipe, built from Debian packages when this machine has none yet. */
export async function ensureImage(recipe: ImageRecipe, progress: Progress): Promise<GuestImage> {
  const directory = join(cacheDirectory(), 'guest-images', `${recipe.kernel}-${recipeKey(recipe)}`);
  if (!existsSync(directory)) {
    await ensureHostPackages(progress);
    await step(progress, `building the guest image for kernel ${recipe.kernel}`, () =>
      build(recipe, directory, progress),
    );
  }
  return {
    disk: join(directory, 'disk.img'),
    kernel: join(directory, 'vmlinuz'),
    initrd: join(directory, 'initrd'),
    privateKey: join(directory, 'key'),
    release: readFileSync(join(directory, 'release'), 'utf8').trim(),
  };
}

function recipeKey(recipe: ImageRecipe): string {
  const content = JSON.stringify([recipe.kernel, userlandSuite, imagePackages(recipe), imageFiles, customizeScript]);
  return createHash('sha256').update(content).digest('hex').slice(0, 12);
}

async function build(recipe: ImageRecipe, directory: string, progress: Progress): Promise<void> {
  const kernel = await step(progress, `looking up kernel ${recipe.kernel}`, () => findKernel(recipe.kernel));
  mkdirSync(dirname(directory), { recursive: true });
  // Built beside its final place and renamed at the end: two builders at once each make a whole image, one wins.
  const work = mkdtempSync(join(dirname(directory), '.building-'));
  try {
    const out = join(work, 'out');
    mkdirSync(out);
    // Without root mmdebstrap's hooks run under another user id of a user namespace.
    chmodSync(work, 0o755);
    chmodSync(out, 0o777);
    await makeKey(join(work, 'key'));
    writeGuestFiles(join(work, 'files'), readFileSync(join(work, 'key.pub'), 'utf8'));
    writeFileSync(join(work, 'customize.sh'), customizeScript);
    await bootstrap(recipe, kernel, work, out, progress);
    renameSync(join(work, 'key'), join(out, 'key'));
    chmodSync(out, 0o755);
    publish(out, directory);
  } finally {
    rmSync(work, { recursive: true, force: true });
  }
}

async function bootstrap(
  recipe: ImageRecipe,
  kernel: KernelPackage,
  work: string,
  out: string,
  progress: Progress,
): Promise<void> {
  const mirror = debianMirror();
  const suites = [...new Set([userlandSuite, kernel.suite])];
  const hook = ['sh', join(work, 'customize.sh')].map(shellQuote).join(' ');
  const args = [
    '--variant=minbase',
    '--architectures=amd64',
    '--format=null',
    `--include=${[...imagePackages(recipe), `${kernel.name}/${kernel.suite}`].join(',')}`,
    '--dpkgopt=path-exclude=/usr/share/man/*',
    '--dpkgopt=path-exclude=/usr/share/doc/*',
    '--dpkgopt=path-exclude=/usr/share/locale/*',
    '--aptopt=Acquire::Languages "none"',
    `--customize-hook=${hook} "$1" ${shellQuote(join(work, 'files'))} ${shellQuote(out)}`,
    userlandSuite,
    '/dev/null',
    ...suites.map((suite) => `deb [signed-by=${mirror.signedBy}] ${mirror.uri} ${suite} main`),
  ];
  // INITRD=No: the kernel package makes no initramfs, the image has one of its own.
  const env = { ...process.env, INITRD: 'No', DEBIAN_FRONTEND: 'noninteractive', TMPDIR: '/tmp' };
  const result = await step(progress, `installing ${kernel.name} and ${userlandSuite} packages`, () =>
    runHost('mmdebstrap', args, { env }),
  );
  if (result.exitCode !== 0) {
    throw new GuestError(
      'IMAGE_BUILD_FAILED',
      `mmdebstrap could not make the guest image (try again if the mirror was being updated):\n${tail(result.stderr, 25)}`,
    );
  }
}

async function makeKey(path: string): Promise<void> {
  const result = await runHost('ssh-keygen', ['-q', '-t', 'ed25519', '-N', '', '-C', 'guest', '-f', path]);
  if (result.exitCode !== 0) {
    throw new GuestError('IMAGE_BUILD_FAILED', `ssh-keygen failed: ${tail(result.stderr, 3)}`);
  }
}

function writeGuestFiles(root: string, publicKey: string): void {
  for (const [path, content] of Object.entries({ ...imageFiles, 'root/.ssh/authorized_keys': publicKey })) {
    const target = join(root, path);
    mkdirSync(dirname(target), { recursive: true });
    writeFileSync(target, content);
  }
}

function publish(out: string, directory: string): void {
  try {
    renameSync(out, directory);
  } catch (error) {
    // Another builder was faster: its image is as good.
    if (!existsSync(directory)) throw error;
  }
}
