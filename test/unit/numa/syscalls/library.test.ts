import { beforeEach, expect, onTestFinished, test, vi } from 'vitest';

// What could not be loaded is not tried again: each test loads anew.
beforeEach(() => vi.resetModules());

test('an architecture whose system calls are not known is an error that says which are', async () => {
  const real = Object.getOwnPropertyDescriptor(process, 'arch') ?? {};
  onTestFinished(() => void Object.defineProperty(process, 'arch', real));
  Object.defineProperty(process, 'arch', { ...real, value: 'riscv64' });
  const { loadSyscalls } = await import('../../../../numa/syscalls/library.ts');
  await expect(loadSyscalls()).rejects.toMatchObject({
    code: 'TIERD_SYSCALLS_UNAVAILABLE',
    message: 'system calls of linux on riscv64 are not known: Linux on x64 or arm64 is needed',
  });
});

test('koffi that cannot be loaded is an error with the reason and the way out', async () => {
  vi.doMock('koffi', () => ({
    default: {
      load: () => {
        throw new Error('libc.so.6: version GLIBC_2.99 not found\nand more');
      },
    },
  }));
  onTestFinished(() => void vi.doUnmock('koffi'));
  const { loadSyscalls } = await import('../../../../numa/syscalls/library.ts');
  await expect(loadSyscalls()).rejects.toMatchObject({
    code: 'TIERD_SYSCALLS_UNAVAILABLE',
    message:
      'cannot load koffi (libc.so.6: version GLIBC_2.99 not found): install it beside tierd with `npm install koffi`, or use engine damos',
  });
});
