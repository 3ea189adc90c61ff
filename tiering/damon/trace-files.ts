import { closeSync, constants, openSync, readSync } from 'node:fs';
import { rmdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { inTime } from '../in-time.ts';

/** The ring buffer of one CPU (trace_pipe_raw), read page by page without waiting. */
export interface TracePages {
  /** Reads the next page and gives its bytes; 0: there is none now. */
  readNow(page: Uint8Array): number;
  close(): void;
}

/** What tracefs needs besides plain reads and writes. Paths as in SysFs. */
export interface TraceFiles {
  openPages(path: string): TracePages;
  /** Replaces the contents: a list such as set_event_pid is added to unless it is opened with truncation. */
  replace(path: string, value: string): Promise<void>;
  /** Removes an instance; the kernel refuses (EBUSY) while someone reads it. */
  removeDirectory(path: string): Promise<void>;
}

const LIMIT_MS = 5_000;
/** Nothing to read now, or another reader at it: both pass. */
const NOTHING_NOW: ReadonlySet<string> = new Set(['EAGAIN', 'EBUSY', 'EINTR']);

/** TraceFiles over the real file system below `root`. */
export class HostTraceFiles implements TraceFiles {
  readonly #root: string;

  constructor(root = '/') {
    this.#root = root;
  }

  openPages(path: string): TracePages {
    return new HostTracePages(openSync(join(this.#root, path), constants.O_RDONLY | constants.O_NONBLOCK));
  }

  replace(path: string, value: string): Promise<void> {
    return answered(path, writeFile(join(this.#root, path), value, { flag: 'w' }));
  }

  removeDirectory(path: string): Promise<void> {
    return answered(path, rmdir(join(this.#root, path)));
  }
}

async function answered(path: string, work: Promise<void>): Promise<void> {
  const isDone = await inTime(
    work.then(() => true),
    LIMIT_MS,
  );
  if (isDone !== true) throw new Error(`${path} does not answer`);
}

/** Reads at once: taking a page from the kernel's memory is 2 us of work, and handing it to another thread 15 us. */
class HostTracePages implements TracePages {
  readonly #file: number;

  constructor(file: number) {
    this.#file = file;
  }

  readNow(page: Uint8Array): number {
    try {
      return readSync(this.#file, page, 0, page.length, null);
    } catch (error) {
      if (error instanceof Error && 'code' in error && NOTHING_NOW.has(String(error.code))) return 0;
      throw error;
    }
  }

  close(): void {
    closeSync(this.#file);
  }
}
