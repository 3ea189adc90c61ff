/** Seconds of CPU, or shares of a core. */
export interface CpuTime {
  readonly user: number;
  readonly system: number;
}

export const NO_TIME: CpuTime = { user: 0, system: 0 };

const TICKS_PER_SECOND = 100;

/** CPU seconds from the text of /proc/PID/stat. The name in it may hold anything: what counts is behind its last `)`. */
export function cpuTimeOf(stat: string): CpuTime {
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  return { user: Number(fields[11]) / TICKS_PER_SECOND, system: Number(fields[12]) / TICKS_PER_SECOND };
}

/** A figure in kB from /proc/PID/status or smaps_rollup. */
export function kibOf(text: string, key: string): number {
  return Number(new RegExp(`^${key}:\\s+(\\d+) kB`, 'm').exec(text)?.[1] ?? Number.NaN);
}
