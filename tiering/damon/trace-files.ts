import { constants } from 'node:fs';
import type { FileHandle } from 'node:fs/promises';
import { open, rmdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';

/** A trace_pipe that never blocks. */
export interface TracePipe {
  /** The next text, or undefined when there is none now. */
  read(): Promise<string | undefined>;
  close(): Promise<void>;
}

/** What tracefs needs besides plain reads and writes. Paths as in SysFs. */
export interface TraceFiles {
  /** Opens a trace_pipe for reading without waiting. */
  openPipe(path: string): Promise<TracePipe>;
  /** Replaces the contents: a list such as set_event_pid is added to unless it is opened with truncation. */
  replace(path: string, value: string): Promise<void>;
  /** Removes an instance; the kernel refuses (EBUSY) while someone reads it. */
  removeDirectory(path: string): Promise<void>;
}

const CHUNK_BYTES = 64 * 1024;
/** Nothing to read now, or another reader at it: both pass. */
const NOTHING_NOW: ReadonlySet<string> = new Set(['EAGAIN', 'EBUSY', 'EINTR']);

/** TraceFiles over the real file system below `root`. */
export class HostTraceFiles implements TraceFiles {
  readonly #root: string;

  constructor(root = '/') {
    this.#root = root;
  }

  async openPipe(path: string): Promise<TracePipe> {
    // Non-blocking: a read that waits would hold one of the few threads that all file access shares.
    return new HostTracePipe(await open(join(this.#root, path), constants.O_RDONLY | constants.O_NONBLOCK));
  }

  async replace(path: string, value: string): Promise<void> {
    await writeFile(join(this.#root, path), value, { flag: 'w' });
  }

  async removeDirectory(path: string): Promise<void> {
    await rmdir(join(this.#root, path));
  }
}

class HostTracePipe implements TracePipe {
  readonly #file: FileHandle;
  readonly #buffer = Buffer.allocUnsafe(CHUNK_BYTES);

  constructor(file: FileHandle) {
    this.#file = file;
  }

  async read(): Promise<string | undefined> {
    try {
      const { bytesRead } = await this.#file.read(this.#buffer, 0, CHUNK_BYTES, null);
      return bytesRead === 0 ? undefined : this.#buffer.toString('latin1', 0, bytesRead);
    } catch (error) {
      if (error instanceof Error && 'code' in error && NOTHING_NOW.has(String(error.code))) return undefined;
      throw error;
    }
  }

  close(): Promise<void> {
    return this.#file.close();
  }
}
