import { KernelFormatError } from './errors.ts';
import { isGone, SysFsError } from './sysfs.ts';

/** Reads what is good to know and not needed: what cannot be read or understood counts as absent, and is told. */
export class OptionalValues {
  readonly #warnings = new Set<string>();

  /** A sentence for each value that counts as absent. */
  get warnings(): readonly string[] {
    return [...this.#warnings];
  }

  /** What `read` gives, or undefined with a warning. A file that is not there is no news. */
  async read<Value>(read: () => Promise<Value>): Promise<Value | undefined> {
    try {
      return await read();
    } catch (error) {
      if (isGone(error)) return undefined;
      if (!(error instanceof SysFsError || error instanceof KernelFormatError)) throw error;
      this.#warnings.add(`${error.message}; it counts as not there`);
      return undefined;
    }
  }

  /** For what was found odd in a file whose other lines count. */
  warn(error: KernelFormatError): void {
    this.#warnings.add(`${error.message}; it counts as not there`);
  }
}
