import { describe, expect, test } from 'vitest';
import { KernelFormatError } from '../../../../numa/errors.ts';
import { cgroupProcesses, parseStat, userProcess, userProcesses } from '../../../../numa/page-maps/processes.ts';
import { makeEmptyTree } from './proc-tree.ts';

const stat = (name: string, flags: number, startTime: number, residentPages: number) =>
  `42 (${name}) S 1 42 42 0 -1 ${flags} 0 0 0 0 0 0 0 0 20 0 1 0 ${startTime} 1000000 ${residentPages} 184 1 1`;

describe('/proc/PID/stat', () => {
  test('gives when a process started and its resident pages, whatever its name', () => {
    const expected = { pid: 42, startTime: 777, residentPages: 300, program: '1 1' };
    expect(parseStat(stat('a) R (b', 4194560, 777, 300), '/f')).toEqual(expected);
  });

  test('of a kernel thread or a zombie gives nothing', () => {
    expect(parseStat(stat('kthreadd', 0x208040, 1, 0), '/f')).toBeUndefined();
    expect(parseStat(stat('dead', 4194560, 1, 0), '/f')).toBeUndefined();
  });

  test.each(['', '42 (x) S 1', 'x (y) S'])('"%s" is refused', (text) => {
    expect(() => parseStat(text, '/f')).toThrow(KernelFormatError);
  });
});

test('processes are those with memory; one that is gone is none', async () => {
  const tree = await makeEmptyTree();
  await tree.write('/proc/42/stat', stat('x', 0, 5, 10));
  await tree.write('/proc/43/stat', stat('kworker', 0x208040, 5, 0).replace('42', '43'));
  await tree.write('/proc/meminfo/x', '');
  expect(await userProcesses(tree.sysfs)).toEqual([{ pid: 42, startTime: 5, residentPages: 10, program: '1 1' }]);
  expect(await userProcesses(tree.sysfs, new Set([43, 44]))).toEqual([]);
  expect(userProcess(tree.sysfs, 44)).toBeUndefined();
});

test('the processes of cgroups are those of each path given', async () => {
  const tree = await makeEmptyTree();
  await tree.write('/sys/fs/cgroup/cgroup.procs', '1');
  await tree.write('/sys/fs/cgroup/a/cgroup.procs', '10\n11\n0');
  await tree.write('/sys/fs/cgroup/a/b/cgroup.procs', '12');
  expect(await cgroupProcesses(tree.sysfs, ['/a', '/a/b', '/gone'])).toEqual(new Set([10, 11, 12]));
  expect(await cgroupProcesses(tree.sysfs, ['/'])).toEqual(new Set([1]));
});
