import type { ChildProcess } from 'node:child_process';
import { spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import { rm } from 'node:fs/promises';
import { createServer } from 'node:net';
import { constants } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { GuestError } from './errors.ts';
import { tail } from './host-process.ts';
import type { Progress } from './progress.ts';

/**
 * Starts QEMU, waits for it, and removes the guest's directory when it has ended. Its standard input is a pipe that
 * nobody writes to: when this harness ends, however it ends (a failed test, Ctrl-C, SIGKILL), the kernel closes the
 * pipe, `read` returns, and QEMU is killed by its pid. So nothing depends on a handler of the harness being run.
 *
 * (The shell's word about a killed child would go to a closed pipe then: SIGPIPE must not end it before its work is
 * done. Should the keeper itself be killed, QEMU gets a signal for that.)
 *
 * The lock is held by the keeper alone and so lasts exactly as long as it does. Free memory is looked at under it: another guest's is free again then.
 */
const keeper = `
directory=$1 lock=$2 needed=$3; shift 3
ulimit -c 0
exec 3<&0 9>>"$lock"
until flock -w 1 9; do
  kill -0 "$PPID" 2>/dev/null || { rm -rf "$directory"; exit 1; }
done
available=$(awk '$1 == "MemAvailable:" { print int($2 / 1024) }' /proc/meminfo)
if [ "$available" -lt "$needed" ]; then
  echo "this guest needs $needed MiB of free memory on this machine, which has $available MiB: end what uses it, or take a larger machine" >&2
  rm -rf "$directory"
  exit 1
fi
setpriv --pdeathsig KILL "$@" </dev/null 3<&- 9>&- &
qemu=$!
trap '' PIPE
( read -r _ <&3; kill -KILL "$qemu" 2>/dev/null ) >/dev/null 2>&1 9>&- &
watcher=$!
echo "$qemu" >"$directory/qemu.pid"
wait "$qemu"
code=$?
kill "$watcher" 2>/dev/null
rm -rf "$directory"
exit $code
`;

const consoleLimit = 256 * 1024;
/** As a shell says that a program ended by one of these: an assertion of its own, or a wrong memory access. */
const crashCodes: readonly (number | null)[] = [constants.signals.SIGABRT, constants.signals.SIGSEGV].map(
  (signal) => 128 + signal,
);

export interface QemuOptions {
  /** Of the guest's files; goes when it ends. */
  readonly directory: string;
  /** A file: one guest runs at a time of those that have the same. */
  readonly lock: string;
  /** Memory that must be free on this machine. */
  readonly neededMib: number;
  readonly args: readonly string[];
}

/** A running QEMU, its console kept in memory. */
export class Qemu {
  readonly #keeper: ChildProcess;
  readonly #directory: string;
  #console = '';
  #ended = false;
  #crashed = false;
  readonly #exit: Promise<void>;
  readonly #watchers = new Set<() => void>();

  /**
   * Starts QEMU once no other guest that was started with this lock file runs: an emulated machine takes every core
   * it gets, and two of them would spoil each other's timing.
   */
  static async start(options: QemuOptions, progress: Progress): Promise<Qemu> {
    const { directory } = options;
    const qemu = new Qemu(options);
    const started = Date.now();
    // When QEMU ends at once, its message is on the console for the one who waits for the boot.
    for (let told = false; !qemu.#ended && !existsSync(join(directory, 'qemu.pid')); await sleep(20)) {
      if (told || Date.now() - started < 2_000) continue;
      progress('another guest runs on this machine: waiting for its end ...');
      told = true;
    }
    return qemu;
  }

  private constructor({ directory, lock, neededMib, args }: QemuOptions) {
    this.#directory = directory;
    this.#keeper = spawn('sh', ['-c', keeper, 'sh', directory, lock, `${neededMib}`, 'qemu-system-x86_64', ...args], {
      stdio: ['pipe', 'pipe', 'pipe'],
      // A session of its own: Ctrl-C at a terminal must not end the keeper before it has cleaned up.
      detached: true,
    });
    const keep = (chunk: Buffer): void => {
      this.#console = (this.#console + chunk.toString('utf8')).slice(-consoleLimit);
      for (const watcher of this.#watchers) watcher();
    };
    this.#keeper.stdout?.on('data', keep);
    this.#keeper.stderr?.on('data', keep);
    this.#keeper.stdin?.on('error', () => {});
    this.#exit = new Promise<void>((resolve) => {
      this.#keeper.once('error', () => resolve());
      this.#keeper.once('close', (code) => {
        this.#crashed = crashCodes.includes(code);
        resolve();
      });
    }).then(() => {
      this.#ended = true;
      this.#keeper.stdin?.destroy();
      for (const watcher of this.#watchers) watcher();
    });
  }

  /** What the guest's console and QEMU itself have printed, the last 256 KiB of it. */
  get console(): string {
    return this.#console;
  }

  get ended(): boolean {
    return this.#ended;
  }

  /** Waits until the console holds `marker` `count` times. */
  async waitForConsole(marker: string, count: number, timeoutMs: number): Promise<void> {
    const done = (): boolean => this.#console.split(marker).length > count;
    const failed = (): boolean => this.#ended || this.#console.includes('Kernel panic');
    const finished = await this.#waitUntil(() => done() || failed(), timeoutMs);
    if (done()) return;
    const log = `\nlast console lines:\n${tail(this.#console, 30)}`;
    if (!finished) {
      throw new GuestError(
        'BOOT_TIMEOUT',
        `The guest did not boot within ${timeoutMs / 1000} s; if the machine is busy, give it longer with bootTimeoutMs.${log}`,
      );
    }
    if (this.#crashed) throw new GuestError('EMULATOR_CRASHED', `QEMU crashed while the guest booted.${log}`);
    throw new GuestError('BOOT_FAILED', `The guest ${this.#ended ? 'ended' : 'panicked'} while booting.${log}`);
  }

  #waitUntil(condition: () => boolean, timeoutMs: number): Promise<boolean> {
    return new Promise((resolve) => {
      if (condition()) return resolve(true);
      const finish = (result: boolean): void => {
        clearTimeout(timer);
        this.#watchers.delete(watcher);
        resolve(result);
      };
      const watcher = (): void => {
        if (condition()) finish(true);
      };
      const timer = setTimeout(() => finish(false), timeoutMs);
      this.#watchers.add(watcher);
    });
  }

  /** Ends the guest at once, as pulling its plug would (its disk is thrown away anyhow). */
  async kill(): Promise<void> {
    this.#keeper.stdin?.end();
    await this.#exit;
    // The keeper has removed it, unless something outside killed the keeper.
    if (existsSync(this.#directory)) await rm(this.#directory, { recursive: true, force: true });
  }
}

/** A TCP port of the loopback interface that is free now. */
export function freePort(): Promise<number> {
  return new Promise((resolve, reject) => {
    const server = createServer();
    server.once('error', reject);
    server.listen(0, '127.0.0.1', () => {
      const address = server.address();
      server.close(() => {
        if (address !== null && typeof address === 'object') resolve(address.port);
        else reject(new Error('no port'));
      });
    });
  });
}
