import { KernelFormatError } from './errors.ts';
import type { OptionalValues } from './optional-values.ts';
import { mergeRanges } from './ranges.ts';
import type { AddressRange } from './topology.ts';

/** What /proc/iomem says about memory. Each list is merged. */
export interface PhysicalMap {
  /** "System RAM" and "System RAM (kmem)", at whatever depth. */
  readonly systemRam: readonly AddressRange[];
  /** "CXL Window N": address space the firmware routes to CXL devices. */
  readonly cxlWindows: readonly AddressRange[];
  /** "System RAM (DRIVER)": memory that a driver added, by its name. */
  readonly driverRam: ReadonlyMap<string, readonly AddressRange[]>;
}

/**
 * System RAM and CXL windows of /proc/iomem, or undefined when the kernel hides the addresses (all zeros without
 * CAP_SYS_ADMIN). A CXL expander's memory is nested: `CXL Window 0` > `dax0.0` > `System RAM (kmem)`.
 * A line that cannot be understood is left out, and told.
 */
export function parseIomem(text: string, path: string, optional: OptionalValues): PhysicalMap | undefined {
  const systemRam: AddressRange[] = [];
  const cxlWindows: AddressRange[] = [];
  const driverRam = new Map<string, AddressRange[]>();
  for (const line of text.split('\n')) {
    if (line.trim() === '') continue;
    const match = /^ *([0-9a-f]+)-([0-9a-f]+) : (.*)$/.exec(line);
    if (match === null) {
      optional.warn(new KernelFormatError(path, line, 'a line "start-end : name"'));
      continue;
    }
    const [, start = '', end = '', name = ''] = match;
    const list = name.startsWith('System RAM') ? systemRam : name.startsWith('CXL Window') ? cxlWindows : undefined;
    const range = { start: Number.parseInt(start, 16), end: Number.parseInt(end, 16) + 1 };
    list?.push(range);
    const driver = /^System RAM \((.+)\)$/.exec(name)?.[1];
    if (driver !== undefined) driverRam.set(driver, [...(driverRam.get(driver) ?? []), range]);
  }
  // Hidden addresses print as 0-0, which no real System RAM is.
  if (systemRam.every(({ end }) => end === 1)) return undefined;
  return { systemRam: mergeRanges(systemRam), cxlWindows: mergeRanges(cxlWindows), driverRam };
}
