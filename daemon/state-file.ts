import type { FileHandle } from 'node:fs/promises';
import { mkdir, open, readFile, rename, rm } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { SyscallsUnavailableError } from '../numa/syscalls/errors.ts';
import { tryLock } from '../numa/syscalls/file-lock.ts';
import type { Receipt } from '../tiering/damon/receipt.ts';
import { parseReceipt, serializeReceipt } from '../tiering/damon/receipt.ts';
import type { Logger } from '../tiering/logger.ts';
import { StateDirectoryError, StateDirectoryInUseError } from './errors.ts';

const RECEIPT = 'damon-receipt.json';
const FILE_MODE = 0o600;
const DIRECTORY_MODE = 0o750;

/**
 * Makes the state directory when missing. Throws StateDirectoryError when that is not possible. One that cannot be written is told by the first save: a daemon
 * that goes on with its kdamonds after a crash can do without.
 */
export async function openStateDirectory(directory: string): Promise<void> {
  try {
    await mkdir(directory, { recursive: true, mode: DIRECTORY_MODE });
  } catch (error) {
    throw new StateDirectoryError(directory, error);
  }
}

/**
 * Keeps other daemons off the state directory until the handle is closed or the process ends, however it does. Throws StateDirectoryInUseError when another
 * has it. Without koffi there are no locks, which a warning tells.
 */
export async function lockStateDirectory(directory: string, logger: Logger): Promise<FileHandle | undefined> {
  let lock: FileHandle | undefined;
  try {
    lock = await tryLock(directory);
  } catch (error) {
    if (!(error instanceof SyscallsUnavailableError)) throw new StateDirectoryError(directory, error);
    logger.warn({ reason: error.message }, 'the state directory is not locked against a second tierd');
    return undefined;
  }
  if (lock === undefined) throw new StateDirectoryInUseError(directory);
  return lock;
}

/** How a value is written and read again; `parse` throws when the text is not one of ours. */
export interface StateFormat<T> {
  serialize(value: T): string;
  parse(text: string): T;
}

/** What a file gave: a value, the reason why it has none that can be used, or nothing when there is no file. */
export interface Loaded<T> {
  readonly value?: T;
  readonly reason?: string;
}

/** One value kept in a file that is always whole: written beside it, synced, and renamed over it. */
export class StateFile<T> {
  readonly path: string;
  readonly #format: StateFormat<T>;
  readonly #logger: Logger;
  readonly #now: () => Date;

  constructor(path: string, format: StateFormat<T>, logger: Logger, now: () => Date = () => new Date()) {
    this.path = path;
    this.#format = format;
    this.#logger = logger;
    this.#now = now;
  }

  /** The value, or undefined when there is none. A file that is not one of ours is set aside with a warning. */
  async load(): Promise<T | undefined> {
    return (await this.loadOrReason()).value;
  }

  /** The same, with the reason why there was a file but no value. */
  async loadOrReason(): Promise<Loaded<T>> {
    let text: string;
    try {
      text = await readFile(this.path, 'utf8');
    } catch (error) {
      if (hasErrno(error, 'ENOENT')) return {};
      throw new StateDirectoryError(dirname(this.path), error);
    }
    try {
      return { value: this.#format.parse(text) };
    } catch (error) {
      const reason = error instanceof Error ? error.message : String(error);
      await this.setAside(reason);
      return { reason };
    }
  }

  /** Replaces the value, which then survives a power failure; undefined removes it. */
  async save(value: T | undefined): Promise<void> {
    if (value === undefined) return this.#clear();
    const temporary = `${this.path}.new`;
    try {
      // A temporary file that an interrupted write left must not lend its mode.
      await rm(temporary, { force: true });
      const file = await open(temporary, 'wx', FILE_MODE);
      try {
        await file.writeFile(this.#format.serialize(value));
        await file.sync();
      } finally {
        await file.close();
      }
      await rename(temporary, this.path);
      await syncDirectory(dirname(this.path));
    } catch (error) {
      throw new StateDirectoryError(dirname(this.path), error);
    }
  }

  /**
   * Takes the newest value back from whoever reads next: it finds none it can use. For a value that could not be saved; cutting a file short, or making an
   * empty one, is possible on a full disk.
   */
  async invalidate(): Promise<void> {
    try {
      const file = await open(this.path, 'w', FILE_MODE);
      try {
        await file.sync();
      } finally {
        await file.close();
      }
      await syncDirectory(dirname(this.path));
    } catch (error) {
      throw new StateDirectoryError(dirname(this.path), error);
    }
  }

  async #clear(): Promise<void> {
    try {
      await rm(this.path, { force: true });
      await syncDirectory(dirname(this.path));
    } catch (error) {
      throw new StateDirectoryError(dirname(this.path), error);
    }
  }

  /** Keeps the file under another name, with a warning that says why it is not used. */
  async setAside(reason: string): Promise<void> {
    const aside = `${this.path}.corrupt-${this.#now().toISOString().replaceAll(':', '')}`;
    await rename(this.path, aside).catch((error: unknown) => {
      throw new StateDirectoryError(dirname(this.path), error);
    });
    this.#logger.warn({ file: this.path, movedTo: aside, reason }, 'state file cannot be used and was set aside');
  }
}

/** The file in which the engine remembers what it did to DAMON, to go on with it or undo it after a crash. */
export function receiptFile(stateDirectory: string, logger: Logger): StateFile<Receipt> {
  const format = { serialize: serializeReceipt, parse: parseReceipt };
  return new StateFile(join(stateDirectory, RECEIPT), format, logger);
}

/** The same for whoever only looks: undefined when there is none, or none that this user or version can read. Changes nothing. */
export async function readReceipt(stateDirectory: string): Promise<Receipt | undefined> {
  try {
    return parseReceipt(await readFile(join(stateDirectory, RECEIPT), 'utf8'));
  } catch {
    return undefined;
  }
}

async function syncDirectory(directory: string): Promise<void> {
  const handle = await open(directory, 'r');
  try {
    await handle.sync();
  } finally {
    await handle.close();
  }
}

function hasErrno(error: unknown, errno: string): boolean {
  return error instanceof Error && 'code' in error && error.code === errno;
}
