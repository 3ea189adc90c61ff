import { closeSync, open, read, readFileSync, statSync } from 'node:fs';
import { mkdir, readdir, readlink, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';

const openFile = promisify(open);
const readSome = promisify(read);
/** Nearly every file of /sys and /proc is shorter. */
const TEXT_BYTES = 2 ** 14;
/** What the kernel gives in one read(2) of a text at most, unless the file says otherwise. */
const LEAST_ROOM_BYTES = 2 ** 12;

/** A file of /sys or /proc could not be read or written; `path` and `errno` say which and why. */
export class SysFsError extends Error {
  readonly code = 'TIERD_SYSFS';
  readonly path: string;
  /** errno name such as `EBUSY`. */
  readonly errno: string;
  readonly value?: string;

  constructor(operation: 'read' | 'list' | 'write', path: string, cause: unknown, value?: string) {
    const errno = errnoOf(cause);
    const what = value === undefined ? `${operation} ${path}` : `${operation} "${value.trim()}" to ${path}`;
    super(`cannot ${what}: ${errno}`, { cause });
    this.name = 'SysFsError';
    this.path = path;
    this.errno = errno;
    if (value !== undefined) this.value = value;
  }
}

function errnoOf(cause: unknown): string {
  if (cause instanceof Error && 'code' in cause && typeof cause.code === 'string') return cause.code;
  return 'EUNKNOWN';
}

/** True for the errnos that mean "there is no such file (any more)": a value, not a failure, where hot-plug is normal. */
export function isGone(error: unknown): boolean {
  return error instanceof SysFsError && ['ENOENT', 'ENOTDIR', 'ENODEV', 'ENXIO'].includes(error.errno);
}

/**
 * The one gateway to /sys and /proc. Paths are absolute as the kernel documents them (`/sys/...`, `/proc/...`) and are taken
 * below `root`, so that a recorded tree of another machine serves as well as the running kernel.
 */
export interface SysFs {
  readonly root: string;
  /** The text of a file. Throws SysFsError. */
  read(path: string): Promise<string>;
  /**
   * The same at once, on this thread: for small files of /proc that the kernel answers from memory (some 10 us), where the way
   * through the thread pool costs ten times as much and there are hundreds to read. Throws SysFsError.
   */
  readNow(path: string): string;
  /** The same as read(), trimmed, or undefined when the file is not there. */
  readIfPresent(path: string): Promise<string | undefined>;
  /** Names in a folder, sorted; empty when the folder is not there. */
  list(path: string): Promise<readonly string[]>;
  /** Names of the folders in a folder (links not followed), sorted; empty when the folder is not there. */
  directories(path: string): Promise<readonly string[]>;
  /** Inode number of a file or folder, or undefined when it is not there. */
  inode(path: string): Promise<number | undefined>;
  /**
   * What changes when folders come or go in a folder, or when it is made anew: at once, on this thread (some 5 us); undefined when it is not there.
   * Throws SysFsError.
   */
  folderStamp(path: string): string | undefined;
  /** Target of a symbolic link, or undefined. */
  link(path: string): Promise<string | undefined>;
  /** Writes a value in one write(2), as sysfs wants. Throws SysFsError with the value. */
  write(path: string, value: string): Promise<void>;
  /** Makes a folder (tracefs instances are made so); an existing one is fine. */
  makeDirectory(path: string): Promise<void>;
}

/** SysFs over the real file system below `root` ('/' for the running kernel). */
export class HostSysFs implements SysFs {
  readonly root: string;

  constructor(root = '/') {
    this.root = root;
  }

  async read(path: string): Promise<string> {
    try {
      return await readText(this.#full(path));
    } catch (cause) {
      throw new SysFsError('read', path, cause);
    }
  }

  readNow(path: string): string {
    try {
      return readFileSync(this.#full(path), 'utf8');
    } catch (cause) {
      throw new SysFsError('read', path, cause);
    }
  }

  async readIfPresent(path: string): Promise<string | undefined> {
    try {
      return (await this.read(path)).trim();
    } catch (error) {
      if (isGone(error)) return undefined;
      throw error;
    }
  }

  async list(path: string): Promise<readonly string[]> {
    return (await this.#entries(path)).map((entry) => entry.name).sort();
  }

  async directories(path: string): Promise<readonly string[]> {
    const entries = await this.#entries(path);
    return entries.flatMap((entry) => (entry.isDirectory() ? [entry.name] : [])).sort();
  }

  async inode(path: string): Promise<number | undefined> {
    try {
      return (await stat(this.#full(path))).ino;
    } catch (cause) {
      const error = new SysFsError('read', path, cause);
      if (isGone(error)) return undefined;
      throw error;
    }
  }

  folderStamp(path: string): string | undefined {
    try {
      const stats = statSync(this.#full(path), { throwIfNoEntry: false });
      // cgroupfs keeps no time of the last change, but as many links as there are folders, and two.
      return stats && `${stats.ino} ${stats.nlink} ${stats.mtimeMs}`;
    } catch (cause) {
      const error = new SysFsError('read', path, cause);
      if (isGone(error)) return undefined;
      throw error;
    }
  }

  async link(path: string): Promise<string | undefined> {
    try {
      return await readlink(this.#full(path));
    } catch {
      return undefined;
    }
  }

  async write(path: string, value: string): Promise<void> {
    try {
      await writeFile(this.#full(path), value, { flag: 'r+' });
    } catch (cause) {
      throw new SysFsError('write', path, cause, value);
    }
  }

  async makeDirectory(path: string): Promise<void> {
    try {
      await mkdir(this.#full(path), { recursive: true });
    } catch (cause) {
      throw new SysFsError('write', path, cause);
    }
  }

  async #entries(path: string) {
    try {
      return await readdir(this.#full(path), { withFileTypes: true });
    } catch (cause) {
      const error = new SysFsError('list', path, cause);
      if (isGone(error)) return [];
      throw error;
    }
  }

  #full(path: string): string {
    return this.root === '/' ? path : join(this.root, path);
  }
}

/**
 * Three ways through the thread pool, where readFile of Node takes five: it asks for the size too, which these files do not tell. What is open here
 * is closed at once, as the kernel waits for nothing then.
 */
async function readText(path: string): Promise<string> {
  const fd = await openFile(path, 'r');
  try {
    let bytes = Buffer.allocUnsafe(TEXT_BYTES);
    for (let length = 0; ; ) {
      if (bytes.length - length < LEAST_ROOM_BYTES) bytes = Buffer.concat([bytes], 2 * bytes.length);
      const { bytesRead } = await readSome(fd, bytes, length, bytes.length - length, null);
      if (bytesRead === 0) return bytes.toString('utf8', 0, length);
      length += bytesRead;
    }
  } finally {
    closeSync(fd);
  }
}
