import type { SysFs } from './sysfs.ts';
import { SysFsError } from './sysfs.ts';

export interface BoundedSysFsOptions {
  /** How long a file may take to answer. */
  readonly limitMs: number;
  /** Writes that may take as long as they like: whoever asks for them waits in a way of its own. */
  readonly isPatient?: (path: string) => boolean;
}

/**
 * A SysFs that gives up on a file that does not answer, with ETIMEDOUT. Nobody can end such a call, and each holds a thread: until it has ended, every further one
 * to the same file fails at once.
 */
export class BoundedSysFs implements SysFs {
  readonly root: string;
  readonly #sysfs: SysFs;
  readonly #options: BoundedSysFsOptions;
  readonly #silent = new Set<string>();

  constructor(sysfs: SysFs, options: BoundedSysFsOptions) {
    this.root = sysfs.root;
    this.#sysfs = sysfs;
    this.#options = options;
  }

  read(path: string): Promise<string> {
    return this.#within('read', path, () => this.#sysfs.read(path));
  }

  readNow(path: string): string {
    return this.#sysfs.readNow(path);
  }

  readIfPresent(path: string): Promise<string | undefined> {
    return this.#within('read', path, () => this.#sysfs.readIfPresent(path));
  }

  list(path: string): Promise<readonly string[]> {
    return this.#within('list', path, () => this.#sysfs.list(path));
  }

  directories(path: string): Promise<readonly string[]> {
    return this.#within('list', path, () => this.#sysfs.directories(path));
  }

  inode(path: string): Promise<number | undefined> {
    return this.#within('read', path, () => this.#sysfs.inode(path));
  }

  folderStamp(path: string): string | undefined {
    return this.#sysfs.folderStamp(path);
  }

  link(path: string): Promise<string | undefined> {
    return this.#within('read', path, () => this.#sysfs.link(path));
  }

  write(path: string, value: string): Promise<void> {
    if (this.#options.isPatient?.(path) === true) return this.#sysfs.write(path, value);
    return this.#within('write', path, () => this.#sysfs.write(path, value), value);
  }

  makeDirectory(path: string): Promise<void> {
    return this.#within('write', path, () => this.#sysfs.makeDirectory(path));
  }

  async #within<T>(
    operation: 'read' | 'list' | 'write',
    path: string,
    work: () => Promise<T>,
    value?: string,
  ): Promise<T> {
    const timedOut = () => {
      const cause = Object.assign(new Error('no answer'), { code: 'ETIMEDOUT' });
      return new SysFsError(operation, path, cause, value);
    };
    if (this.#silent.has(path)) throw timedOut();
    const answer = work();
    let timer: NodeJS.Timeout | undefined;
    const late = new Promise<never>((_, reject) => {
      timer = setTimeout(() => {
        this.#silent.add(path);
        const answered = () => void this.#silent.delete(path);
        answer.then(answered, answered);
        reject(timedOut());
      }, this.#options.limitMs);
    });
    try {
      return await Promise.race([answer, late]);
    } finally {
      clearTimeout(timer);
    }
  }
}
