/** A kernel file holds something this program cannot understand; `path` and `value` say what and where. */
export class KernelFormatError extends Error {
  readonly code = 'TIERD_KERNEL_FORMAT';
  readonly path: string;
  /** The offending text, cut to a readable length. */
  readonly value: string;

  constructor(path: string, value: string, expected: string) {
    const shown = value.trim().slice(0, 80);
    super(`cannot understand ${path}: expected ${expected}, found "${shown}"`);
    this.name = 'KernelFormatError';
    this.path = path;
    this.value = shown;
  }
}
