import { readFile } from 'node:fs/promises';
import { expect, test } from 'vitest';
import { parseAnonymousAreas } from '../../../numa/anonymous-areas.ts';

const MAPS = `00400000-00900000 r--p 00000000 fe:00 1234                               /usr/bin/node
05a00000-05b00000 rw-p 00000000 00:00 0 
05b00000-06a00000 rw-p 00000000 00:00 0                                  [heap]
1c0000000000-1c0000100000 ---p 00000000 00:00 0 
1c0000200000-1c0000300000 rw-p 00000000 00:00 0                          [anon:v8]
7f0000000000-7f0000100000 rw-s 00000000 00:01 77                         /dev/zero (deleted)
7f0000200000-7f0000300000 rw-p 00000000 fe:00 1235                       /usr/lib/libc.so.6
7ffc00000000-7ffc00021000 rw-p 00000000 00:00 0                          [stack]
7ffc00100000-7ffc00104000 r--p 00000000 00:00 0                          [vvar]
7ffc00104000-7ffc00106000 r-xp 00000000 00:00 0                          [vdso]
ffffffffff600000-ffffffffff601000 --xp 00000000 00:00 0                  [vsyscall]
`;

test('heaps, stacks, mappings and reservations without a file, neighbours joined', () => {
  expect(parseAnonymousAreas(MAPS)).toEqual([
    { address: 0x5a00000, bytes: 0x1000000 },
    { address: 0x1c0000000000, bytes: 0x100000 },
    { address: 0x1c0000200000, bytes: 0x100000 },
    { address: 0x7ffc00000000, bytes: 0x21000 },
  ]);
});

test('this process has some', async () => {
  const areas = parseAnonymousAreas(await readFile('/proc/self/maps', 'utf8'));
  expect(areas.length).toBeGreaterThan(10);
  expect(areas.every(({ address, bytes }) => Number.isSafeInteger(address) && bytes % 4096 === 0)).toBe(true);
});
