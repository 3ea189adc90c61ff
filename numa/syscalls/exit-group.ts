import { loadSyscalls } from './library.ts';

/**
 * Ends the process at once. process.exit() waits for the helper threads, and with one that hangs in the kernel it never ends. Throws SyscallsUnavailableError.
 *
 *     void exit_group(int status);
 */
export async function exitGroup(code: number): Promise<void> {
  (await loadSyscalls()).declare('exit_group', ['int']).call([code], String(code));
}
