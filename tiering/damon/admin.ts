import type { SysFs } from '../../numa/sysfs.ts';
import { SysFsError } from '../../numa/sysfs.ts';
import type { Clock } from './busy.ts';
import { hostClock, retryWhileBusy } from './busy.ts';

/** Documentation/admin-guide/mm/damon/usage.rst, "sysfs Interface". */
export const KDAMONDS = '/sys/kernel/mm/damon/admin/kdamonds';

const DEFAULT_BUSY_LIMIT_MS = 10_000;

/** Whether writing to a file has a kdamond do something, which may take as long as it likes. */
export function isKdamondCommand(path: string): boolean {
  return path.startsWith(`${KDAMONDS}/`) && path.endsWith('/state');
}

export interface AdminOptions {
  /** How long EBUSY is retried. */
  readonly busyLimitMs?: number;
  readonly clock?: Clock;
}

/** Run state of one kdamond directory; `pid` is absent when off. */
export interface KdamondState {
  readonly index: number;
  readonly on: boolean;
  readonly pid?: number;
}

/**
 * Files below `/sys/kernel/mm/damon/admin/kdamonds` by their path relative to it, patient with EBUSY. Throws SysFsError and
 * DamonBusyError.
 */
export class DamonAdmin {
  readonly sysfs: SysFs;
  readonly clock: Clock;
  readonly #busyLimitMs: number;
  readonly #check: () => void;

  /** @param check runs before each access, and throws when there shall be none any more */
  constructor(sysfs: SysFs, options: AdminOptions = {}, check: () => void = () => undefined) {
    this.#check = check;
    this.sysfs = sysfs;
    this.clock = options.clock ?? hostClock;
    this.#busyLimitMs = options.busyLimitMs ?? DEFAULT_BUSY_LIMIT_MS;
  }

  /** Does this kernel have DAMON's sysfs? */
  async available(): Promise<boolean> {
    return (await this.sysfs.list(KDAMONDS)).includes('nr_kdamonds');
  }

  async read(path: string): Promise<string> {
    const full = `${KDAMONDS}/${path}`;
    const text = await this.#patiently(`reading ${full}`, () => this.sysfs.read(full));
    return text.trim();
  }

  async readIfPresent(path: string): Promise<string | undefined> {
    const full = `${KDAMONDS}/${path}`;
    return this.#patiently(`reading ${full}`, () => this.sysfs.readIfPresent(full));
  }

  async write(path: string, value: string): Promise<void> {
    const full = `${KDAMONDS}/${path}`;
    await this.#patiently(`writing "${value}" to ${full}`, () => this.sysfs.write(full, value));
  }

  /** Names in a folder; '' is the kdamonds folder itself. Empty when it is not there. */
  async list(path: string): Promise<readonly string[]> {
    return this.sysfs.list(path === '' ? KDAMONDS : `${KDAMONDS}/${path}`);
  }

  async has(folder: string, name: string): Promise<boolean> {
    return (await this.list(folder)).includes(name);
  }

  /** Writes a value that the kernel may not know: false when it says EINVAL. */
  async accepts(path: string, value: string): Promise<boolean> {
    try {
      await this.write(path, value);
      return true;
    } catch (error) {
      if (error instanceof SysFsError && error.errno === 'EINVAL') return false;
      throw error;
    }
  }

  async state(index: number): Promise<KdamondState> {
    const on = (await this.readIfPresent(`${index}/state`)) === 'on';
    const pid = on ? Number(await this.readIfPresent(`${index}/pid`)) : -1;
    return pid > 0 ? { index, on, pid } : { index, on };
  }

  /** States of all kdamond directories, by index. */
  async states(): Promise<readonly KdamondState[]> {
    const indexes = (await this.list('')).filter((name) => /^\d+$/.test(name)).map(Number);
    const states: KdamondState[] = [];
    for (const index of indexes.sort((a, b) => a - b)) states.push(await this.state(index));
    return states;
  }

  #patiently<T>(what: string, access: () => Promise<T>): Promise<T> {
    const attempt = async () => {
      this.#check();
      return access();
    };
    return retryWhileBusy(what, attempt, this.#busyLimitMs, this.clock);
  }
}
