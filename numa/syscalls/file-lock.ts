import type { FileHandle } from 'node:fs/promises';
import { open } from 'node:fs/promises';
import { SyscallError } from './errors.ts';
import { loadSyscalls } from './library.ts';

/** LOCK_EX | LOCK_NB of flock(2). */
const EXCLUSIVE_AT_ONCE = 2 | 4;

/**
 * Locks a file or directory for as long as this process lives, or until the handle is closed; undefined when another holds it. The kernel frees it however
 * the process ends. Children do not inherit it. Throws SyscallError, SyscallsUnavailableError, or what opening throws.
 *
 *     int flock(int fd, int operation);
 */
export async function tryLock(path: string): Promise<FileHandle | undefined> {
  const flock = (await loadSyscalls()).declare('flock', ['int', 'int']);
  const handle = await open(path, 'r');
  try {
    flock.call([handle.fd, EXCLUSIVE_AT_ONCE], path);
    return handle;
  } catch (error) {
    await handle.close();
    if (error instanceof SyscallError && error.errno === 'EAGAIN') return undefined;
    throw error;
  }
}
