import { readFile } from 'node:fs/promises';
import { expect, test } from 'vitest';
import { HostSysFs } from '../../../numa/sysfs.ts';
import { makeEmptyTree } from './page-maps/proc-tree.ts';

test.each([0, 1, 4096, 2 ** 14 - 1, 2 ** 14, 100_000])(
  'a text of %d characters of two bytes each is read whole',
  async (length) => {
    const tree = await makeEmptyTree();
    const text = 'ü'.repeat(length);
    await tree.write('/proc/long', text);
    // Not toBe, which prints them whole.
    expect((await tree.sysfs.read('/proc/long')) === `${text}\n`).toBe(true);
    expect(tree.sysfs.readNow('/proc/long') === `${text}\n`).toBe(true);
  },
);

test('a file of /proc whose size the kernel does not tell is read whole', async () => {
  const filesystems = await readFile('/proc/filesystems', 'utf8');
  expect(filesystems).not.toBe('');
  expect(await new HostSysFs().read('/proc/filesystems')).toBe(filesystems);
});

test('what cannot be read is named, with the errno', async () => {
  const tree = await makeEmptyTree();
  await expect(tree.sysfs.read('/sys/none')).rejects.toMatchObject({ path: '/sys/none', errno: 'ENOENT' });
  await tree.write('/sys/folder/file', '1');
  await expect(tree.sysfs.read('/sys/folder')).rejects.toMatchObject({ path: '/sys/folder', errno: 'EISDIR' });
});

test('no descriptor stays open, whether reading ends well or not', async () => {
  const tree = await makeEmptyTree();
  await tree.write('/sys/folder/file', '1');
  const host = new HostSysFs();
  const open = async () => (await host.list('/proc/self/fd')).length;
  await tree.sysfs.read('/sys/folder/file');
  const before = await open();
  for (let i = 0; i < 50; i++) {
    await tree.sysfs.read('/sys/folder/file');
    await tree.sysfs.read('/sys/folder').catch(() => undefined);
  }
  expect(await open()).toBe(before);
});
