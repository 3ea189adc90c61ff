import type { ChildProcess } from 'node:child_process';
import { createInterface } from 'node:readline';
import { setTimeout as sleep } from 'node:timers/promises';
import { GuestError } from './errors.ts';
import { collect } from './host-process.ts';

export interface CommandResult {
  /** 128 + N when signal N ended the command. */
  readonly exitCode: number;
  readonly stdout: string;
  readonly stderr: string;
}

export interface RunOptions {
  /** Default 60 seconds; the command and all it started are killed at its end. */
  readonly timeoutMs?: number;
  /** Text for the command's standard input; none when not given. */
  readonly stdin?: string;
}

/** What runs commands in a guest; `check` throws when one fails. */
export interface CommandRunner {
  run(command: string, options?: RunOptions): Promise<CommandResult>;
  check(command: string, options?: RunOptions): Promise<string>;
}

/** A command running in the guest in the background. */
export class GuestProcess implements AsyncIterable<string> {
  readonly command: string;
  readonly #client: ChildProcess;
  readonly #signal: (name: string) => Promise<void>;
  readonly #stderr: () => string;
  readonly #exit: Promise<number>;
  #exited = false;
  readonly #lines: string[] = [];
  readonly #listeners = new Set<() => void>();
  #linesEnded = false;

  constructor(command: string, client: ChildProcess, signal: (name: string) => Promise<void>, release: () => void) {
    this.command = command;
    this.#client = client;
    this.#signal = signal;
    this.#stderr = client.stderr === null ? () => '' : collect(client.stderr);
    this.#exit = new Promise((resolve) => {
      client.once('error', () => resolve(127));
      client.once('close', (code) => resolve(code ?? 255));
    });
    void this.#exit.then(() => {
      this.#exited = true;
      release();
    });
    if (client.stdout !== null) {
      const reader = createInterface({ input: client.stdout, crlfDelay: Number.POSITIVE_INFINITY });
      reader.on('line', (line) => {
        this.#lines.push(line);
        this.#wake();
      });
      reader.on('close', () => {
        this.#linesEnded = true;
        this.#wake();
      });
    }
  }

  /** Every line of its standard output so far. */
  get lines(): readonly string[] {
    return this.#lines;
  }

  get stderr(): string {
    return this.#stderr();
  }

  get exited(): boolean {
    return this.#exited;
  }

  /** Its exit code, once it has one. */
  get exitCode(): Promise<number> {
    return this.#exit;
  }

  /** Its lines from the first on, waiting for more until it ends; several readers each get all of them. */
  async *[Symbol.asyncIterator](): AsyncIterator<string> {
    for (let next = 0; ; ) {
      const line = this.#lines[next];
      if (line !== undefined) {
        next++;
        yield line;
      } else if (this.#linesEnded) {
        return;
      } else {
        await new Promise<void>((resolve) => this.#onChange(resolve));
      }
    }
  }

  /** Waits for a line that `matches`, from the first on. */
  async waitForLine(matches: (line: string) => boolean, timeoutMs: number): Promise<string> {
    const deadline = Date.now() + timeoutMs;
    for (let next = 0; ; ) {
      const line = this.#lines[next];
      if (line !== undefined) {
        next++;
        if (matches(line)) return line;
        continue;
      }
      const left = deadline - Date.now();
      if (this.#linesEnded || left <= 0) {
        throw new GuestError(
          this.#linesEnded ? 'COMMAND_FAILED' : 'COMMAND_TIMEOUT',
          `"${this.command}" ${this.#linesEnded ? 'ended' : `ran ${timeoutMs / 1000} s`} without the line waited for; its last lines:\n${[...this.#lines.slice(-10), this.stderr].join('\n')}`,
        );
      }
      await new Promise<void>((resolve) => {
        const timer = setTimeout(resolve, left);
        this.#onChange(() => {
          clearTimeout(timer);
          resolve();
        });
      });
    }
  }

  /** Sends a signal to the command and everything it started. */
  async signal(name: string): Promise<void> {
    if (!this.#exited) await this.#signal(name);
  }

  /** Ends the command: SIGTERM first, SIGKILL when it does not follow. Gives its exit code. */
  async stop(graceMs = 10_000): Promise<number> {
    await this.signal('TERM');
    const abort = new AbortController();
    const late = sleep(graceMs, 'late' as const, { signal: abort.signal }).catch(() => 'ended' as const);
    const first = await Promise.race([late, this.#exit]);
    abort.abort();
    if (first === 'late') await this.signal('KILL');
    return this.#exit;
  }

  /** Lets go of it without a word to the guest (which may be gone already). */
  abandon(): void {
    this.#client.kill('SIGKILL');
  }

  #onChange(listener: () => void): void {
    this.#listeners.add(listener);
  }

  #wake(): void {
    const listeners = [...this.#listeners];
    this.#listeners.clear();
    for (const listener of listeners) listener();
  }
}
