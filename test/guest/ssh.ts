import type { ChildProcess } from 'node:child_process';
import { spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { GuestError } from './errors.ts';
import { collect, runHost, tail } from './host-process.ts';

/** How to reach a guest's ssh server. */
export interface SshTarget {
  readonly port: number;
  readonly privateKey: string;
  /** Directory for the control socket; its path must be short, a Unix socket's name has 107 bytes. */
  readonly directory: string;
}

function commonOptions(target: SshTarget): string[] {
  return [
    ['-F', 'none'],
    ['-p', `${target.port}`],
    ['-i', target.privateKey],
    ['-o', `ControlPath=${join(target.directory, 'ssh')}`],
    ['-o', 'BatchMode=yes'],
    ['-o', 'IdentitiesOnly=yes'],
    // The guest was made by this harness and listens on the loopback interface only.
    ['-o', 'StrictHostKeyChecking=no'],
    ['-o', 'UserKnownHostsFile=/dev/null'],
    ['-o', 'LogLevel=ERROR'],
    // The default post-quantum exchange takes a noticeable time in an emulated machine.
    ['-o', 'KexAlgorithms=curve25519-sha256'],
    ['-o', 'Ciphers=aes128-gcm@openssh.com,chacha20-poly1305@openssh.com'],
    ['-o', 'ConnectTimeout=60'],
  ].flat();
}

/** The command line with which a person connects. */
export function sshCommandLine(target: SshTarget): string {
  return ['ssh', ...commonOptions(target), 'root@127.0.0.1'].join(' ');
}

/** One connection to a guest that all its commands share (a session on it costs tens of milliseconds). */
export class SshConnection {
  readonly #target: SshTarget;
  readonly #master: ChildProcess;
  readonly #errors: () => string;
  #closed = false;

  private constructor(target: SshTarget, master: ChildProcess) {
    this.#target = target;
    this.#master = master;
    this.#errors = master.stderr === null ? () => '' : collect(master.stderr);
    master.once('close', () => {
      this.#closed = true;
    });
    master.once('error', () => {
      this.#closed = true;
    });
  }

  static async open(target: SshTarget, timeoutMs: number): Promise<SshConnection> {
    const deadline = Date.now() + timeoutMs;
    for (;;) {
      const args = [...commonOptions(target), '-o', 'ControlMaster=yes', '-N', 'root@127.0.0.1'];
      const master = spawn('ssh', args, { stdio: ['ignore', 'ignore', 'pipe'] });
      const connection = new SshConnection(target, master);
      while (!connection.#closed && Date.now() < deadline) {
        if (existsSync(join(target.directory, 'ssh'))) return connection;
        await sleep(20);
      }
      master.kill();
      if (Date.now() >= deadline) {
        throw new GuestError('CONNECTION_LOST', `No ssh connection to the guest: ${tail(connection.#errors(), 5)}`);
      }
      await sleep(500);
    }
  }

  get closed(): boolean {
    return this.#closed;
  }

  /** Starts a command as a session of the connection. */
  session(command: string, stdin: 'ignore' | 'pipe'): ChildProcess {
    const args = [...commonOptions(this.#target), '-o', 'ControlMaster=no', '-T', 'root@127.0.0.1', command];
    return spawn('ssh', args, { stdio: [stdin, 'pipe', 'pipe'] });
  }

  /** Makes a Unix socket of the guest reachable as a Unix socket here. */
  async forward(hostSocket: string, guestSocket: string): Promise<void> {
    await this.#control('forward', hostSocket, guestSocket);
  }

  async cancelForward(hostSocket: string, guestSocket: string): Promise<void> {
    await this.#control('cancel', hostSocket, guestSocket);
  }

  async #control(operation: 'forward' | 'cancel', hostSocket: string, guestSocket: string): Promise<void> {
    const result = await runHost('ssh', [
      ...commonOptions(this.#target),
      ...['-O', operation, '-L', `${hostSocket}:${guestSocket}`, 'root@127.0.0.1'],
    ]);
    if (result.exitCode !== 0) {
      throw new GuestError('FORWARD_FAILED', `ssh -O ${operation} of ${guestSocket} failed: ${tail(result.stderr, 3)}`);
    }
  }

  /** Why the connection ended, for error messages. */
  get errors(): string {
    return this.#errors();
  }

  async close(): Promise<void> {
    if (this.#closed) return;
    const closed = new Promise<void>((resolve) => this.#master.once('close', () => resolve()));
    this.#master.kill();
    await closed;
  }
}
