import { readSync } from 'node:fs';
import type { FileHandle } from 'node:fs/promises';
import { open } from 'node:fs/promises';
import { join } from 'node:path';
import { SysFsError } from '../sysfs.ts';

/** Pages a read covers at most: 256 KiB, as much as is decoded and stored within some 6 ms when every page is scattered. */
export const READ_PAGES = 2 ** 15;
/** Reads that may be on their way at the same time, while what was read before them is still looked at. */
export const READS_AHEAD = 2;

/** An open file of 8 bytes a page: /proc/PID/pagemap by virtual page, /proc/kpageflags by frame. */
export class PageFile {
  readonly #path: string;
  readonly #handle: FileHandle;
  /** Taken in turns. */
  readonly #buffers: Uint32Array[] = [];
  #reads = 0;
  readonly #entry = new Uint32Array(2);

  private constructor(path: string, handle: FileHandle) {
    this.#path = path;
    this.#handle = handle;
  }

  /** Opens a file below `root`. Throws SysFsError. */
  static async open(root: string, path: string): Promise<PageFile> {
    try {
      return new PageFile(path, await open(root === '/' ? path : join(root, path), 'r'));
    } catch (cause) {
      throw new SysFsError('read', path, cause);
    }
  }

  /** For system calls, until it is closed. */
  get fd(): number {
    return this.#handle.fd;
  }

  /**
   * Reads up to READ_PAGES entries. `words` holds them as 32-bit halves, low one first, until READS_AHEAD + 1 more reads have been
   * started; `pages` are fewer than asked for at the end of the file, and none when the process is gone. Throws SysFsError.
   */
  async read(firstPage: number, pages: number): Promise<{ readonly words: Uint32Array; readonly pages: number }> {
    const turn = this.#reads++ % (READS_AHEAD + 1);
    const words = this.#buffers[turn] ?? new Uint32Array(2 * READ_PAGES);
    this.#buffers[turn] = words;
    try {
      const { bytesRead } = await this.#handle.read(words, 0, pages * 8, firstPage * 8);
      return { words, pages: bytesRead >>> 3 };
    } catch (cause) {
      throw new SysFsError('read', this.#path, cause);
    }
  }

  /**
   * Low half of one entry, at once; 0 at the end of the file and when it cannot be read. For kpageflags alone, where it takes a
   * microsecond: the kernel waits for nothing there, and a way through the thread pool would cost thirty times as much.
   */
  lowWordNow(page: number): number {
    try {
      return readSync(this.#handle.fd, this.#entry, 0, 8, page * 8) === 8 ? (this.#entry[0] ?? 0) : 0;
    } catch {
      return 0;
    }
  }

  async close(): Promise<void> {
    await this.#handle.close();
  }
}
