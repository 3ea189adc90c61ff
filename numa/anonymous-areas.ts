import type { AddressArea } from './syscalls/memory-policy.ts';

/** Private, no file behind it: heaps, stacks, what was mapped by the program itself. */
const LINE = /^([0-9a-f]+)-([0-9a-f]+) ..[-x]p [0-9a-f]+ 00:00 0 *(.*)$/;
const OF_A_PROGRAM = /^(\[heap\]|\[stack\]|\[anon:.*)?$/;

/**
 * The anonymous private memory in a text of /proc/PID/maps (proc_pid_maps(5)), in order of address, neighbours joined.
 * Reservations without any access are among it: they become memory later.
 */
export function parseAnonymousAreas(text: string): readonly AddressArea[] {
  const areas: { address: number; bytes: number }[] = [];
  for (const line of text.split('\n')) {
    const [, start = '', end = '', name = ''] = LINE.exec(line) ?? [];
    if (start === '' || !OF_A_PROGRAM.test(name)) continue;
    const address = Number.parseInt(start, 16);
    const bytes = Number.parseInt(end, 16) - address;
    const last = areas.at(-1);
    if (last !== undefined && last.address + last.bytes === address) last.bytes += bytes;
    else areas.push({ address, bytes });
  }
  return areas;
}
