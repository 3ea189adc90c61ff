import { readFileSync } from 'node:fs';
import { withSuites } from './apt.ts';
import { GuestError } from './errors.ts';
import { runHost, tail } from './host-process.ts';
import type { Progress } from './progress.ts';
import { step } from './progress.ts';

/** A program that is called on this machine, how to find out whether it is there, and the Debian package that has it. */
interface HostTool {
  readonly program: string;
  readonly probe: readonly string[];
  readonly package: string;
}

/** What the harness needs. */
const tools: readonly HostTool[] = [
  { program: 'qemu-system-x86_64', probe: ['--version'], package: 'qemu-system-x86' },
  { program: 'qemu-img', probe: ['--version'], package: 'qemu-utils' },
  { program: 'mmdebstrap', probe: ['--version'], package: 'mmdebstrap' },
  { program: 'mke2fs', probe: ['-V'], package: 'e2fsprogs' },
  { program: 'ssh', probe: ['-V'], package: 'openssh-client' },
  { program: 'ssh-keygen', probe: ['-?'], package: 'openssh-client' },
  { program: 'gcc', probe: ['--version'], package: 'gcc' },
  { program: 'tar', probe: ['--version'], package: 'tar' },
];

const minimumQemu = { major: 8, minor: 1 };

/** Version of QEMU from the first line of `qemu-system-x86_64 --version`. */
export function parseQemuVersion(text: string): { readonly major: number; readonly minor: number } | undefined {
  const match = /QEMU emulator version (\d+)\.(\d+)/.exec(text);
  return match === null ? undefined : { major: Number(match[1]), minor: Number(match[2]) };
}

/** Whether guests run right on this QEMU. */
export function qemuIsUsable(version: { readonly major: number; readonly minor: number }): boolean {
  return (
    version.major > minimumQemu.major || (version.major === minimumQemu.major && version.minor >= minimumQemu.minor)
  );
}

let ready: Promise<void> | undefined;

/** Makes sure that QEMU and the image tools are there: installs them as root, otherwise says with which command. */
export function ensureHostPackages(progress: Progress): Promise<void> {
  ready ??= install(progress).catch((error: unknown) => {
    ready = undefined;
    throw error;
  });
  return ready;
}

/** Makes sure that a program is there which only some tests need. */
export async function ensureHostTool(tool: HostTool, progress: Progress): Promise<void> {
  const missing = await missingAmong([tool]);
  if (missing.size > 0) await installPackages(missing, progress);
}

async function install(progress: Progress): Promise<void> {
  if (process.arch !== 'x64') {
    throw new GuestError('HOST_UNSUPPORTED', `Guests need an x86-64 machine, this one is ${process.arch}.`);
  }
  const missing = await missingPackages();
  if (missing.size > 0) await installPackages(missing, progress);
  const version = await qemuVersion();
  if (version === undefined || !qemuIsUsable(version)) {
    throw new GuestError(
      'QEMU_TOO_OLD',
      `QEMU ${version === undefined ? 'of an unknown version' : `${version.major}.${version.minor}`} corrupts guests under TCG and has no volatile CXL memory: install 8.1 or newer (on Debian bookworm: apt-get install -t bookworm-backports qemu-system-x86 qemu-utils).`,
    );
  }
}

async function missingPackages(): Promise<Set<string>> {
  const missing = await missingAmong(tools);
  const qemu = missing.has('qemu-system-x86') ? undefined : await qemuVersion();
  if (qemu !== undefined && !qemuIsUsable(qemu)) missing.add('qemu-system-x86').add('qemu-utils');
  // gcc without the C library's headers cannot build the workload tool.
  const headers = await runHost('gcc', ['-E', '-x', 'c', '-'], { input: '#include <stdio.h>\n' });
  if (headers.exitCode !== 0) missing.add('libc6-dev');
  return missing;
}

async function missingAmong(wanted: readonly HostTool[]): Promise<Set<string>> {
  const missing = new Set<string>();
  for (const tool of wanted) {
    const result = await runHost(tool.program, tool.probe);
    if (result.exitCode === 127) missing.add(tool.package);
  }
  return missing;
}

async function qemuVersion(): Promise<{ readonly major: number; readonly minor: number } | undefined> {
  return parseQemuVersion((await runHost('qemu-system-x86_64', ['--version'])).stdout);
}

async function installPackages(missing: ReadonlySet<string>, progress: Progress): Promise<void> {
  const codename = debianCodename();
  // bookworm's own QEMU is 7.2: take the one of its backports. Newer releases have a good one themselves.
  const backports = codename === 'bookworm' ? 'bookworm-backports' : undefined;
  const fromBackports = [...missing].filter((name) => backports !== undefined && name.startsWith('qemu-'));
  const plain = [...missing].filter((name) => !fromBackports.includes(name));
  const target =
    fromBackports.length > 0 && backports !== undefined ? fromBackports.map((n) => `${n}/${backports}`) : [];
  if (process.getuid?.() !== 0) {
    const targeted =
      fromBackports.length > 0
        ? ` and, from ${backports}: apt-get install -t ${backports} ${fromBackports.join(' ')}`
        : '';
    throw new GuestError(
      'HOST_PACKAGES_MISSING',
      `Tests need programs that are not installed. As root: apt-get install --no-install-recommends ${plain.join(' ')}${targeted}`,
    );
  }
  const suites = [codename, ...(backports === undefined ? [] : [backports])];
  await step(progress, `installing ${[...missing].join(', ')}`, () =>
    withSuites(suites, async (aptOptions) => {
      const defaults = target.length > 0 && backports !== undefined ? ['-t', backports] : [];
      for (const [names, extra] of [
        [fromBackports, defaults],
        [plain, []],
      ] as const) {
        if (names.length === 0) continue;
        const result = await runHost(
          'apt-get',
          [...aptOptions, 'install', '-y', '-q', '--no-install-recommends', ...extra, ...names],
          { env: { ...process.env, DEBIAN_FRONTEND: 'noninteractive' } },
        );
        if (result.exitCode !== 0) {
          throw new GuestError(
            'HOST_PACKAGES_MISSING',
            `apt-get install ${names.join(' ')} failed; install them by hand and try again:\n${tail(result.stderr, 8)}`,
          );
        }
      }
    }),
  );
}

function debianCodename(): string {
  const codename = /^VERSION_CODENAME=(\w+)$/m.exec(readFileSync('/etc/os-release', 'utf8'))?.[1];
  if (codename === undefined) {
    throw new GuestError(
      'HOST_UNSUPPORTED',
      `Install these yourself, this is no Debian machine: ${tools.map((tool) => tool.package).join(', ')} (QEMU 8.1 or newer).`,
    );
  }
  return codename;
}
