/** The kernel keeps no record of memory nodes or of memory blocks. */
export class NumaUnavailableError extends Error {
  readonly code = 'TIERD_NUMA_UNAVAILABLE';

  constructor(path: string, option: 'CONFIG_NUMA' | 'CONFIG_MEMORY_HOTPLUG') {
    super(`this kernel has no ${path}: tierd needs a kernel built with ${option}=y (see /boot/config-$(uname -r))`);
    this.name = 'NumaUnavailableError';
  }
}

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
