import { withSuites } from './apt.ts';
import { GuestError } from './errors.ts';
import { runHost } from './host-process.ts';

/** Where Debian's cloud kernels come from; userland is trixie's for all of them. */
const kernelSuites = ['bookworm', 'trixie', 'trixie-backports'] as const;

export interface KernelPackage {
  /** Such as `linux-image-7.3.4+deb13-cloud-amd64`. */
  readonly name: string;
  readonly version: string;
  readonly suite: string;
}

/** Parses `apt-cache madison`: `name | version | URI suite/component arch Packages`. */
export function parseMadison(text: string): KernelPackage[] {
  const found: KernelPackage[] = [];
  for (const line of text.split('\n')) {
    const match = /^\s*(\S+)\s*\|\s*(\S+)\s*\|\s*\S+\s+([^/\s]+)\/\S+ \S+ Packages$/.exec(line);
    if (match !== null) found.push({ name: match[1] ?? '', version: match[2] ?? '', suite: match[3] ?? '' });
  }
  return found;
}

/**
 * Kernel packages that cannot be installed, from `apt-cache depends`: mirrors drop the modules of a superseded kernel
 * sooner than its image. A name in angle brackets is one that no package has.
 */
export function parseBroken(text: string): Set<string> {
  const broken = new Set<string>();
  let current = '';
  for (const line of text.split('\n')) {
    if (/^\S/.test(line)) current = line.trim();
    if (/^\s+(Pre)?Depends: <linux-(base|binary|modules)-/.test(line)) broken.add(current);
  }
  return broken;
}

/** The newest package for a kernel such as `6.12` or `6.19.8`; versions compare number by number. */
export function newestKernel(packages: readonly KernelPackage[], kernel: string): KernelPackage | undefined {
  const matching = packages.filter(({ name }) => {
    const version = /^linux-image-(\d[\w.+~-]*)-cloud-amd64$/.exec(name)?.[1];
    return (
      version !== undefined &&
      (version === kernel || /^[.+-]/.test(version.slice(kernel.length))) &&
      version.startsWith(kernel)
    );
  });
  const numbers = (text: string): number[] => (text.match(/\d+/g) ?? []).map(Number);
  matching.sort((a, b) => compareNumbers(numbers(a.version), numbers(b.version)));
  return matching.at(-1);
}

function compareNumbers(a: readonly number[], b: readonly number[]): number {
  for (let i = 0; i < Math.max(a.length, b.length); i++) {
    const difference = (a[i] ?? 0) - (b[i] ?? 0);
    if (difference !== 0) return difference;
  }
  return 0;
}

/** Every cloud kernel that can be installed from the mirror now. */
async function listKernels(): Promise<KernelPackage[]> {
  return withSuites(kernelSuites, async (aptOptions) => {
    const options = [...aptOptions, '-o', 'APT::Architecture=amd64'];
    const names = (await runHost('apt-cache', [...options, 'pkgnames', 'linux-image-'])).stdout
      .split('\n')
      .filter((name) => /^linux-image-\d[\w.+-]*-cloud-amd64$/.test(name));
    const broken = parseBroken((await runHost('apt-cache', [...options, 'depends', '--important', ...names])).stdout);
    const packages = parseMadison((await runHost('apt-cache', [...options, 'madison', ...names])).stdout);
    return packages.filter(({ name }) => !broken.has(name));
  });
}

/** The newest Debian package of a kernel. */
export async function findKernel(kernel: string): Promise<KernelPackage> {
  const packages = await listKernels();
  const found = newestKernel(packages, kernel);
  if (found === undefined) {
    const versions = new Set(packages.map(({ name }) => /-(\d+\.\d+)/.exec(name)?.[1] ?? name));
    throw new GuestError(
      'KERNEL_UNKNOWN',
      `No cloud kernel ${kernel} can be installed from Debian's ${kernelSuites.join(', ')}; there are ${[...versions].join(', ')}.`,
    );
  }
  return found;
}
