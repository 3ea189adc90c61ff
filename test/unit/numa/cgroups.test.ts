import { describe, expect, test } from 'vitest';
import { cgroupAbove, cgroupBelow, cgroupTree, parseMemoryNumaStat } from '../../../numa/cgroups.ts';
import { KernelFormatError } from '../../../numa/errors.ts';
import { makeEmptyTree } from './page-maps/proc-tree.ts';

/** As on 6.12, shortened; inactive_anon and shmem are parts of anon and file. */
const NUMA_STAT = `\
anon N0=41943040 N1=8388608
file N0=1048576 N1=0
kernel_stack N0=65536 N1=0
pagetables N0=4096 N1=4096
sec_pagetables N0=0 N1=0
shmem N0=524288 N1=0
file_mapped N0=262144 N1=0
inactive_anon N0=41943040 N1=8388608
slab_reclaimable N0=8192 N1=0
slab_unreclaimable N0=16384 N1=0
workingset_refault_anon N0=7 N1=0
`;

describe('memory.numa_stat', () => {
  test('adds up to what a cgroup is charged with, by node, each byte once', () => {
    expect(parseMemoryNumaStat(NUMA_STAT, 'x')).toEqual(
      new Map([
        [0, 41943040 + 1048576 + 65536 + 4096 + 8192 + 16384],
        [1, 8388608 + 4096],
      ]),
    );
  });

  test('of another form is refused with its path and what was found', () => {
    expect(() => parseMemoryNumaStat('anon total=3 N0=3', '/cgroup/memory.numa_stat')).toThrow(KernelFormatError);
    expect(() => parseMemoryNumaStat('anon total=3 N0=3', '/cgroup/memory.numa_stat')).toThrow('anon total=3');
  });
});

describe('the tree of cgroups', () => {
  async function hostWith(cgroups: Readonly<Record<string, string>>) {
    const tree = await makeEmptyTree();
    for (const [path, type] of Object.entries(cgroups)) {
      await tree.write(`/sys/fs/cgroup${path}/cgroup.procs`, '');
      if (type !== '') await tree.write(`/sys/fs/cgroup${path}/cgroup.type`, type);
    }
    return tree.sysfs;
  }

  test('has those above before those below, without threaded ones', async () => {
    const sysfs = await hostWith({ '': '', '/a': 'domain', '/a/b': 'domain', '/a/t': 'threaded', '/c': 'domain' });
    expect(await cgroupTree(sysfs, '/')).toEqual(['/', '/a', '/c', '/a/b']);
    expect(await cgroupTree(sysfs, '/a')).toEqual(['/a', '/a/b']);
  });

  test('ends where the caller has enough', async () => {
    const sysfs = await hostWith({ '': '', '/a': 'domain', '/b': 'domain', '/c': 'domain' });
    expect(await cgroupTree(sysfs, '/', 2)).toEqual(['/', '/a']);
  });

  test('knows what is above and below', () => {
    expect(cgroupBelow('/', 'a')).toBe('/a');
    expect(cgroupBelow('/a', 'b')).toBe('/a/b');
    expect(['/a/b', '/a', '/'].map(cgroupAbove)).toEqual(['/a', '/', undefined]);
  });
});
