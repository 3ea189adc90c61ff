import type { SysFs } from './sysfs.ts';

/** An id that is new at each boot, to tell state of this boot from older state. Throws SysFsError. */
export async function bootId(sysfs: SysFs): Promise<string> {
  return (await sysfs.read('/proc/sys/kernel/random/boot_id')).trim();
}
