import type { FileHandle } from 'node:fs/promises';
import { open } from 'node:fs/promises';
import { join } from 'node:path';
import { SysFsError } from '../sysfs.ts';

/** Pages a read covers at most: 256 KiB, as much as is decoded without anybody waiting for the event loop. */
export const READ_PAGES = 2 ** 15;

/** An open file of 8 bytes a page: /proc/PID/pagemap by virtual page, /proc/kpageflags by frame. */
export class PageFile {
  readonly #path: string;
  readonly #handle: FileHandle;
  readonly #words = new Uint32Array(2 * READ_PAGES);

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

  /**
   * Reads up to READ_PAGES entries. `words` holds them as 32-bit halves, low one first, until the next read; `pages` are fewer
   * than asked for at the end of the file, and none when the process is gone. Throws SysFsError.
   */
  async read(firstPage: number, pages: number): Promise<{ readonly words: Uint32Array; readonly pages: number }> {
    try {
      const { bytesRead } = await this.#handle.read(this.#words, 0, pages * 8, firstPage * 8);
      return { words: this.#words, pages: bytesRead >>> 3 };
    } catch (cause) {
      throw new SysFsError('read', this.#path, cause);
    }
  }

  async close(): Promise<void> {
    await this.#handle.close();
  }
}
