import { parseDecimal } from '../numbers.ts';
import type { SysFs } from '../sysfs.ts';

const KIB = 1024;

/**
 * Size in bytes of the largest cache that a CPU reads through; 0 when the kernel does not say, as in some guests. Throws
 * SysFsError, KernelFormatError. Kernel document: ABI/testing/sysfs-devices-system-cpu, cache/indexN/size ("32768K").
 */
export async function readLargestCache(sysfs: SysFs, cpu: number): Promise<number> {
  const folder = `/sys/devices/system/cpu/cpu${cpu}/cache`;
  const names = (await sysfs.list(folder)).filter((name) => /^index\d+$/.test(name));
  const sizes = await Promise.all(
    names.map(async (name) => {
      const path = `${folder}/${name}/size`;
      const text = await sysfs.readIfPresent(path);
      return text === undefined ? 0 : parseDecimal(text.replace(/K$/, ''), path) * KIB;
    }),
  );
  return Math.max(0, ...sizes);
}
