import { setImmediate } from 'node:timers/promises';
import { expect, test } from 'vitest';
import { BoundedSysFs } from '../../../numa/bounded-sysfs.ts';
import { HostSysFs } from '../../../numa/sysfs.ts';

/** Files that answer when they are told to. */
class HangingSysFs extends HostSysFs {
  asked = 0;
  answer: (text: string) => void = () => undefined;

  override read(): Promise<string> {
    this.asked += 1;
    return new Promise((resolve) => {
      this.answer = resolve;
    });
  }

  override async write(): Promise<void> {
    await this.read();
  }
}

test('a file that does not answer is given up, is not asked again until it does, and keeps no other', async () => {
  const files = new HangingSysFs();
  const sysfs = new BoundedSysFs(files, { limitMs: 20 });
  await expect(sysfs.read('/proc/a')).rejects.toMatchObject({ errno: 'ETIMEDOUT', path: '/proc/a' });
  await expect(sysfs.write('/proc/a', '1')).rejects.toMatchObject({ errno: 'ETIMEDOUT', value: '1' });
  expect(files.asked).toBe(1);
  const { answer } = files;
  const other = sysfs.read('/proc/b');
  files.answer('b');
  expect(await other).toBe('b');

  answer('late');
  await setImmediate();
  const again = sysfs.read('/proc/a');
  await expect.poll(() => files.asked).toBe(3);
  files.answer('a');
  expect(await again).toBe('a');
});

test('a write that may take as long as it likes does', async () => {
  const files = new HangingSysFs();
  const sysfs = new BoundedSysFs(files, { limitMs: 5, isPatient: (path) => path === '/sys/slow' });
  const writing = sysfs.write('/sys/slow', 'commit');
  setTimeout(() => files.answer(''), 50);
  await writing;
});
