import { spawn } from 'node:child_process';
import { chmodSync, createReadStream, createWriteStream, mkdtempSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { basename, dirname, join } from 'node:path';
import type { Readable, Writable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { bringUpCxlMemory } from './cxl.ts';
import { GuestError, messageOf } from './errors.ts';
import type { CommandResult, RunOptions } from './guest-process.ts';
import { GuestProcess } from './guest-process.ts';
import { ensureHostPackages } from './host-packages.ts';
import { collect, runHost, shellQuote, tail } from './host-process.ts';
import type { GuestImage } from './image.ts';
import { cacheDirectory, ensureImage } from './image.ts';
import { readyMarker } from './image-recipe.ts';
import type { Progress } from './progress.ts';
import { progressToStderr, step } from './progress.ts';
import { freePort, Qemu } from './qemu.ts';
import type { SshTarget } from './ssh.ts';
import { SshConnection, sshCommandLine } from './ssh.ts';
import type { Topology } from './topologies.ts';
import { neededMib, topologyArguments } from './topologies.ts';

export interface BootOptions {
  /** `6.1`, `6.12`, `7.3` or another cloud kernel that Debian lists: the newest one that begins so. */
  readonly kernel: string;
  readonly topology: Topology;
  /** A directory of this machine that the guest has as /opt/tierd (a copy on a disk of its own). */
  readonly buildDir?: string;
  /** Debian packages that the image has besides the usual ones; each set is an image of its own. */
  readonly extraPackages?: readonly string[];
  /** Topology cxl: create the region and wait for its memory (default true). */
  readonly bringUpCxl?: boolean;
  /** Topology cxl: bring the memory up as movable, so that it can be taken offline again (default false). */
  readonly onlineMovable?: boolean;
  /**
   * Leave the kernel's automatic NUMA balancing on, as hosts with several nodes have it (default false: it moves hot
   * memory to the CPUs' node by itself within seconds, and nobody could tell whose work a placement is).
   */
  readonly numaBalancing?: boolean;
  /** Words added to the kernel's command line. */
  readonly kernelArguments?: string;
  readonly bootTimeoutMs?: number;
  /** Receives progress lines; stderr when not given. */
  readonly onProgress?: Progress;
}

/** A Unix socket of the guest, reachable here. */
export interface ForwardedSocket {
  readonly socketPath: string;
  close(): Promise<void>;
}

const defaultRunTimeoutMs = 60_000;
const defaultBootTimeoutMs = 300_000;

/** Boots a guest; builds its image and installs what this machine lacks first. Boots again, once, when QEMU itself crashes. */
export async function bootGuest(options: BootOptions): Promise<Guest> {
  const progress = options.onProgress ?? progressToStderr;
  await ensureHostPackages(progress);
  const recipe = { kernel: options.kernel, extraPackages: options.extraPackages ?? [] };
  const image = await ensureImage(recipe, progress);
  try {
    return await bootImage(options, image, progress);
  } catch (error) {
    if (!(error instanceof GuestError && error.code === 'EMULATOR_CRASHED')) throw error;
    progress(`${error.message}\nbooting again`);
    return bootImage(options, image, progress);
  }
}

async function bootImage(options: BootOptions, image: GuestImage, progress: Progress): Promise<Guest> {
  const directory = mkdtempSync(join(tmpdir(), 'tierd-guest-'));
  let guest: Guest;
  try {
    guest = await startGuest(options, image, directory, progress);
  } catch (error) {
    rmSync(directory, { recursive: true, force: true });
    throw error;
  }
  try {
    await step(progress, `booting kernel ${image.release}, topology ${options.topology}`, () => guest.connect());
    if (options.topology === 'cxl' && options.bringUpCxl !== false) {
      await step(progress, 'bringing up the CXL memory', () => bringUpCxlMemory(guest, options.onlineMovable === true));
    }
  } catch (error) {
    await guest.shutdown();
    throw error;
  }
  return guest;
}

async function startGuest(
  options: BootOptions,
  image: GuestImage,
  directory: string,
  progress: Progress,
): Promise<Guest> {
  // ssh refuses a key that others may read, and the image's key may be on any kind of file system.
  chmodSync(image.privateKey, 0o600);
  const overlay = join(directory, 'root.qcow2');
  await hostTool('qemu-img', ['create', '-q', '-f', 'qcow2', '-b', image.disk, '-F', 'raw', overlay]);
  const disks = [`file=${overlay},format=qcow2`];
  if (options.buildDir !== undefined) {
    const disk = join(directory, 'build.img');
    await step(progress, `packing ${options.buildDir}`, () => makeBuildDisk(options.buildDir ?? '', disk));
    disks.push(`file=${disk},format=raw`);
  }
  const port = await freePort();
  const lock = join(cacheDirectory(), 'guest.lock');
  const args = qemuArguments(options, image, disks, port);
  const qemu = await Qemu.start({ directory, lock, neededMib: Math.ceil(neededMib(options.topology)), args }, progress);
  return new Guest(options, image, directory, qemu, { port, privateKey: image.privateKey, directory });
}

function qemuArguments(options: BootOptions, image: GuestImage, disks: readonly string[], port: number): string[] {
  const kernelArguments = [
    'root=/dev/vda rw console=ttyS0 quiet loglevel=4 mitigations=off net.ifnames=0',
    'systemd.show_status=0 systemd.firstboot=off nokaslr audit=0',
    options.numaBalancing === true ? '' : 'numa_balancing=disable',
    options.kernelArguments ?? '',
  ].join(' ');
  // With a cxl bus, devices must be put on the root bus by hand.
  const drives = disks.flatMap((disk, index) => [
    ...['-drive', `${disk},if=none,id=disk${index},cache=unsafe,discard=ignore`],
    ...['-device', `virtio-blk-pci,drive=disk${index},bus=pcie.0`],
  ]);
  return [
    ...['-accel', 'tcg,thread=multi', '-nodefaults', '-no-user-config', '-display', 'none'],
    ...topologyArguments(options.topology),
    ...['-kernel', image.kernel, '-initrd', image.initrd, '-append', kernelArguments],
    ...drives,
    // restrict: the guest reaches nothing outside, only its ssh port is reachable from here.
    ...['-netdev', `user,id=net0,restrict=on,hostfwd=tcp:127.0.0.1:${port}-:22`],
    ...['-device', 'virtio-net-pci,netdev=net0,bus=pcie.0,romfile='],
    ...['-device', 'virtio-rng-pci,bus=pcie.0'],
    ...['-chardev', 'stdio,id=console,signal=off', '-serial', 'chardev:console'],
  ];
}

async function makeBuildDisk(source: string, disk: string): Promise<void> {
  const size = Number((await hostTool('du', ['-sm', '--apparent-size', source])).split('\t')[0]);
  const files = Number((await hostTool('du', ['-s', '--inodes', source])).split('\t')[0]);
  // Room for the file system itself, and for tests that write beside the build.
  await hostTool('truncate', ['-s', `${Math.ceil(size * 1.3 + files * 0.01) + 64}M`, disk]);
  const options = 'root_owner=0:0,lazy_itable_init=0,lazy_journal_init=0,nodiscard';
  await hostTool('mke2fs', [
    '-q',
    '-t',
    'ext4',
    '-m',
    '0',
    '-J',
    'size=4',
    '-E',
    options,
    '-N',
    `${files + 4096}`,
    '-d',
    source,
    disk,
  ]);
}

async function hostTool(program: string, args: readonly string[]): Promise<string> {
  const result = await runHost(program, args);
  if (result.exitCode !== 0) {
    throw new GuestError('BOOT_FAILED', `${program} ${args.join(' ')} failed: ${tail(result.stderr, 5)}`);
  }
  return result.stdout;
}

/** A running guest. */
export class Guest {
  readonly kernel: string;
  readonly topology: Topology;
  /** As `uname -r` says in the guest. */
  readonly release: string;
  /** The directory of this machine that holds all of this guest's files; gone after shutdown. */
  readonly directory: string;
  readonly #qemu: Qemu;
  readonly #target: SshTarget;
  readonly #bootTimeoutMs: number;
  readonly #hasBuild: boolean;
  #connection: SshConnection | undefined;
  #boots = 0;
  #sockets = 0;
  #shutdown: Promise<void> | undefined;
  readonly #freeSlots: number[] = [];
  #slots = 0;
  readonly #processes = new Set<GuestProcess>();

  constructor(options: BootOptions, image: GuestImage, directory: string, qemu: Qemu, target: SshTarget) {
    this.kernel = options.kernel;
    this.topology = options.topology;
    this.release = image.release;
    this.directory = directory;
    this.#qemu = qemu;
    this.#target = target;
    this.#hasBuild = options.buildDir !== undefined;
    this.#bootTimeoutMs = options.bootTimeoutMs ?? defaultBootTimeoutMs;
  }

  /** Whether the machine still runs. */
  get running(): boolean {
    return !this.#qemu.ended;
  }

  /** Waits for the next boot to be done and connects. */
  async connect(): Promise<void> {
    this.#boots += 1;
    await this.#qemu.waitForConsole(readyMarker, this.#boots, this.#bootTimeoutMs);
    this.#connection = await SshConnection.open(this.#target, 60_000);
    await this.check(`mkdir -p /run/guest${this.#hasBuild ? ' && mount -o noatime /dev/vdb /opt/tierd' : ''}`);
  }

  /** What the kernel and systemd have written to the console. */
  get console(): string {
    return this.#qemu.console;
  }

  /** The command line with which a person connects while the guest runs. */
  get sshCommandLine(): string {
    return sshCommandLine(this.#target);
  }

  /** Runs a shell command as root to its end. */
  async run(command: string, options: RunOptions = {}): Promise<CommandResult> {
    const timeoutMs = options.timeoutMs ?? defaultRunTimeoutMs;
    const slot = this.#takeSlot();
    const client = this.#session(command, slot, options.stdin === undefined ? 'ignore' : 'pipe');
    const stdout = client.stdout === null ? () => '' : collect(client.stdout);
    const stderr = client.stderr === null ? () => '' : collect(client.stderr);
    client.stdin?.on('error', () => {});
    client.stdin?.end(options.stdin);
    let timedOut = false;
    const timer = setTimeout(() => {
      timedOut = true;
      // Killing the client alone would leave the command running in the guest.
      void this.#signalSlot(slot, 'KILL')
        .catch(() => {})
        .finally(() => client.kill('SIGKILL'));
    }, timeoutMs);
    const exitCode = await new Promise<number>((resolve) => {
      client.once('error', () => resolve(127));
      client.once('close', (code) => resolve(code ?? 255));
    });
    clearTimeout(timer);
    this.#freeSlots.push(slot);
    if (timedOut) {
      throw new GuestError(
        'COMMAND_TIMEOUT',
        `"${command}" took longer than ${timeoutMs / 1000} s in the guest and was killed; give it longer with timeoutMs. Its output:\n${tail(stdout(), 10)}\n${tail(stderr(), 10)}`,
      );
    }
    if (exitCode === 255) this.#assertConnected();
    return { exitCode, stdout: stdout(), stderr: stderr() };
  }

  /** Runs a command that must succeed; gives its standard output. */
  async check(command: string, options: RunOptions = {}): Promise<string> {
    const result = await this.run(command, options);
    if (result.exitCode !== 0) {
      throw new GuestError(
        'COMMAND_FAILED',
        `"${command}" exited with ${result.exitCode} in the guest:\n${tail(result.stdout, 10)}\n${tail(result.stderr, 20)}`,
      );
    }
    return result.stdout;
  }

  /** Starts a command in the background. Its standard input stays open until it is stopped. */
  spawn(command: string): GuestProcess {
    const slot = this.#takeSlot();
    const client = this.#session(command, slot, 'pipe');
    client.stdin?.on('error', () => {});
    const child = new GuestProcess(
      command,
      client,
      (name) => this.#signalSlot(slot, name),
      () => {
        this.#freeSlots.push(slot);
        this.#processes.delete(child);
      },
    );
    this.#processes.add(child);
    return child;
  }

  /** Copies a file, or a directory's contents, into the guest: `guestPath` is the copy's name. */
  async copyIn(hostPath: string, guestPath: string): Promise<void> {
    const status = statSync(hostPath);
    const target = shellQuote(guestPath);
    if (status.isDirectory()) {
      const tar = spawn('tar', ['-C', hostPath, '-cf', '-', '.'], { stdio: ['ignore', 'pipe', 'pipe'] });
      await this.#copy(`mkdir -p ${target} && tar -C ${target} --no-same-owner -xf -`, hostPath, { from: tar.stdout });
    } else {
      const mode = (status.mode & 0o777).toString(8);
      const directory = shellQuote(dirname(guestPath));
      // A program that runs cannot be written to, but its name can be given to a new file.
      const command = `mkdir -p ${directory} && cat >${target}.copy && chmod ${mode} ${target}.copy && mv -f ${target}.copy ${target}`;
      await this.#copy(command, hostPath, { from: createReadStream(hostPath) });
    }
  }

  /** Copies a file, or a directory's contents, out of the guest: `hostPath` is the copy's name. */
  async copyOut(guestPath: string, hostPath: string): Promise<void> {
    const source = shellQuote(guestPath);
    const kind = await this.run(`if [ -d ${source} ]; then echo directory; elif [ -e ${source} ]; then echo file; fi`);
    if (kind.stdout.trim() === 'directory') {
      // Through a file: tar may stop reading at the archive's end mark, which would break a pipe.
      const archive = join(this.directory, `copy-${this.#takeSlot()}.tar`);
      await this.#copy(`tar -C ${source} -cf - .`, guestPath, { to: createWriteStream(archive) });
      await hostTool('mkdir', ['-p', hostPath]);
      await hostTool('tar', ['-C', hostPath, '--no-same-owner', '-xf', archive]);
      rmSync(archive);
    } else if (kind.stdout.trim() === 'file') {
      await hostTool('mkdir', ['-p', dirname(hostPath)]);
      await this.#copy(`cat ${source}`, guestPath, { to: createWriteStream(hostPath) });
    } else {
      throw new GuestError('COPY_FAILED', `The guest has no ${guestPath}.`);
    }
  }

  /** Makes a Unix socket of the guest (as root sees it) reachable as a Unix socket of this machine. */
  async forwardSocket(guestSocket: string): Promise<ForwardedSocket> {
    const connection = this.#assertConnected();
    this.#sockets += 1;
    const socketPath = join(this.directory, `${this.#sockets}-${basename(guestSocket).slice(0, 20)}`);
    await connection.forward(socketPath, guestSocket);
    return {
      socketPath,
      close: async () => {
        await connection.cancelForward(socketPath, guestSocket);
        rmSync(socketPath, { force: true });
      },
    };
  }

  /** Reboots the guest's system as an operator would; its disk keeps what was written, its memory and processes go. */
  async reboot(): Promise<void> {
    await this.run('systemctl reboot');
    await this.#connection?.close();
    await this.connect();
  }

  /** Ends the guest and removes all its files. May be called more than once. */
  shutdown(): Promise<void> {
    this.#shutdown ??= this.#end();
    return this.#shutdown;
  }

  async #end(): Promise<void> {
    for (const child of this.#processes) child.abandon();
    await this.#connection?.close();
    await this.#qemu.kill();
  }

  async #copy(
    command: string,
    what: string,
    ends: { readonly from?: Readable; readonly to?: Writable },
  ): Promise<void> {
    const client = this.#assertConnected().session(command, ends.from === undefined ? 'ignore' : 'pipe');
    const stderr = client.stderr === null ? () => '' : collect(client.stderr);
    const exit = new Promise<number>((resolve) => {
      client.once('error', () => resolve(127));
      client.once('close', (code) => resolve(code ?? 255));
    });
    let problem = '';
    try {
      const flows: Promise<void>[] = [];
      if (ends.from !== undefined && client.stdin !== null) flows.push(pipeline(ends.from, client.stdin));
      if (ends.to !== undefined && client.stdout !== null) flows.push(pipeline(client.stdout, ends.to));
      else client.stdout?.resume();
      await Promise.all(flows);
    } catch (error) {
      problem = messageOf(error);
    }
    const exitCode = await exit;
    if (exitCode !== 0 || problem !== '') {
      throw new GuestError(
        'COPY_FAILED',
        `Copying ${what} failed (exit code ${exitCode}) ${problem}: ${tail(stderr(), 5)}`,
      );
    }
  }

  #session(command: string, slot: number, stdin: 'ignore' | 'pipe'): ReturnType<SshConnection['session']> {
    // sshd makes the shell the leader of a session and group of its own, so its pid names all that it starts.
    // With the `exit` the shell stays, and tells a command ended by a signal as 128 + N.
    return this.#assertConnected().session(`echo $$ 2>/dev/null >/run/guest/${slot}\n${command}\nexit $?`, stdin);
  }

  async #signalSlot(slot: number, name: string): Promise<void> {
    const exit = this.#assertConnected().session(`kill -${name} -- -$(cat /run/guest/${slot})`, 'ignore');
    await new Promise<void>((resolve) => {
      exit.once('error', () => resolve());
      exit.once('close', () => resolve());
    });
  }

  #takeSlot(): number {
    const free = this.#freeSlots.pop();
    if (free !== undefined) return free;
    this.#slots += 1;
    return this.#slots;
  }

  #assertConnected(): SshConnection {
    if (this.#connection !== undefined && !this.#connection.closed && !this.#qemu.ended) return this.#connection;
    const why = this.#shutdown === undefined ? 'ended by itself' : 'was shut down';
    const log = this.#shutdown === undefined ? `; its last console lines:\n${tail(this.console, 30)}` : '.';
    throw new GuestError('CONNECTION_LOST', `The guest ${why}${log}`);
  }
}
