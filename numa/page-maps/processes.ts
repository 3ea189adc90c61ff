import { setImmediate } from 'node:timers/promises';
import { inBatches } from '../batches.ts';
import { CGROUP_MOUNT } from '../cgroups.ts';
import { KernelFormatError } from '../errors.ts';
import type { SysFs } from '../sysfs.ts';
import { isGone, SysFsError } from '../sysfs.ts';

/** A process that has memory of its own. */
export interface UserProcess {
  readonly pid: number;
  /** In clock ticks since boot: with the pid it names a process for good. */
  readonly startTime: number;
  readonly residentPages: number;
  /** Where its code and its stack lie: another program, begun by execve(2), has its own. */
  readonly program: string;
}

/** The event loop is never held for longer. */
const SLICE_MS = 2;
/** Set in the flags of kernel threads (include/linux/sched.h). */
const PF_KTHREAD = 0x0020_0000;

/** /proc/PID/stat (proc_pid_stat(5)); undefined for kernel threads and zombies, which have no memory. Throws KernelFormatError. */
export function parseStat(text: string, path: string): UserProcess | undefined {
  // The name may hold spaces and parentheses.
  const fields = text
    .slice(text.lastIndexOf(')') + 1)
    .trim()
    .split(' ');
  const pid = Number.parseInt(text, 10);
  const [flags, startTime, residentPages] = [9, 22, 24].map((number) => Number(fields[number - 3]));
  if (flags === undefined || startTime === undefined || residentPages === undefined) {
    throw new Error('three fields give three numbers');
  }
  if (![pid, flags, startTime, residentPages].every(Number.isFinite)) {
    throw new KernelFormatError(path, text, '"pid (name) state ..." with 24 fields or more');
  }
  if ((flags & PF_KTHREAD) !== 0 || residentPages <= 0) return undefined;
  // start_code, end_code, start_stack. Not where the arguments lie, which prctl(2) changes to set a title.
  return { pid, startTime, residentPages, program: fields.slice(26 - 3, 28 - 3 + 1).join(' ') };
}

/** True for the errors that mean that the process is no more (proc(5)): ESRCH is what its open files say. */
export function isExited(error: unknown): boolean {
  return isGone(error) || (error instanceof SysFsError && error.errno === 'ESRCH');
}

/** The process, or undefined when there is none with memory under this pid. Throws SysFsError. */
export function userProcess(sysfs: SysFs, pid: number): UserProcess | undefined {
  const path = `/proc/${pid}/stat`;
  try {
    return parseStat(sysfs.readNow(path), path);
  } catch (error) {
    if (isExited(error)) return undefined;
    throw error;
  }
}

/** False for an error that is the program's own. True: this one process cannot be read or understood; others can. */
export function isOfOneProcess(error: unknown): boolean {
  return error instanceof SysFsError || error instanceof KernelFormatError;
}

/**
 * Those of the pids (by default of all) that have memory. One that cannot be read or understood is left out and told to `onUnreadable`.
 * Throws SysFsError when /proc cannot be listed.
 */
export async function userProcesses(
  sysfs: SysFs,
  pids?: ReadonlySet<number>,
  onUnreadable: (pid: number, error: unknown) => void = () => undefined,
): Promise<readonly UserProcess[]> {
  const candidates =
    pids === undefined
      ? (await sysfs.directories('/proc')).filter((name) => /^\d+$/.test(name)).map(Number)
      : [...pids];
  const processes: UserProcess[] = [];
  let sliceMs = performance.now();
  for (const pid of candidates) {
    try {
      const process = userProcess(sysfs, pid);
      if (process !== undefined) processes.push(process);
    } catch (error) {
      if (!isOfOneProcess(error)) throw error;
      onUnreadable(pid, error);
    }
    if (performance.now() - sliceMs < SLICE_MS) continue;
    await setImmediate();
    sliceMs = performance.now();
  }
  return processes;
}

/** Pids in the cgroups themselves, not in those below them (cgroup-v2.rst, cgroup.procs). A cgroup that is gone has none. */
export async function cgroupProcesses(sysfs: SysFs, cgroupPaths: readonly string[]): Promise<Set<number>> {
  const texts = await inBatches(cgroupPaths, (path) => sysfs.readIfPresent(`${CGROUP_MOUNT}${path}/cgroup.procs`));
  const lines = texts.flatMap((text) => (text ?? '').split('\n'));
  // 0 is a process outside our pid namespace.
  return new Set(lines.map(Number).filter((pid) => pid > 0));
}
