import { errnoName } from './errno.ts';

/** A system call failed; `call`, `args` and `errno` say which, with what, and why. */
export class SyscallError extends Error {
  readonly code = 'TIERD_SYSCALL';
  readonly call: string;
  /** What it was called with, for people. */
  readonly args: string;
  /** errno name such as `EPERM`. */
  readonly errno: string;

  constructor(call: string, args: string, errno: number) {
    super(`${call}(${args}): ${errnoName(errno)}`);
    this.name = 'SyscallError';
    this.call = call;
    this.args = args;
    this.errno = errnoName(errno);
  }
}

/** System calls cannot be made at all; the message says what is missing. */
export class SyscallsUnavailableError extends Error {
  readonly code = 'TIERD_SYSCALLS_UNAVAILABLE';

  constructor(reason: string, cause?: unknown) {
    super(reason, { cause });
    this.name = 'SyscallsUnavailableError';
  }
}
