import { SyscallError, SyscallsUnavailableError } from './errors.ts';

/** Numbers of arch/x86/entry/syscalls/syscall_64.tbl and include/uapi/asm-generic/unistd.h. */
const NUMBERS = {
  x64: {
    mmap: 9,
    ioctl: 16,
    madvise: 28,
    flock: 73,
    exit_group: 231,
    sched_setaffinity: 203,
    mbind: 237,
    set_mempolicy: 238,
    get_mempolicy: 239,
    move_pages: 279,
  },
  arm64: {
    ioctl: 29,
    flock: 32,
    sched_setaffinity: 122,
    mmap: 222,
    exit_group: 94,
    madvise: 233,
    mbind: 235,
    get_mempolicy: 236,
    set_mempolicy: 237,
    move_pages: 239,
  },
} as const;

type SyscallName = keyof (typeof NUMBERS)['x64'];

/** A system call with the types of its arguments settled. */
interface Syscall {
  /** Makes the call on this thread; gives its result. `described`: the arguments for people. Throws SyscallError. */
  call(args: readonly unknown[], described: string): number;
  /** The same on a thread of koffi's. Memory that is passed must not be touched until it resolves. */
  callAsync(args: readonly unknown[], described: string): Promise<number>;
}

export interface SyscallLibrary {
  /** `types`: koffi's types of the arguments. */
  declare(name: SyscallName, types: readonly string[]): Syscall;
  /** Memory of this process as a buffer. Nobody checks that it is mapped, nor that it stays so. */
  view(address: number, bytes: number): ArrayBuffer;
}

/** What koffi makes of a C function. */
interface ForeignFunction {
  (...args: unknown[]): unknown;
  async(...args: unknown[]): void;
}

let loading: Promise<SyscallLibrary> | undefined;

/**
 * libc's syscall(2) through koffi, loaded when it is first needed: the damos engine does without. Throws
 * SyscallsUnavailableError when koffi is not installed or the architecture is unknown.
 */
export function loadSyscalls(): Promise<SyscallLibrary> {
  loading ??= load();
  return loading;
}

async function load(): Promise<SyscallLibrary> {
  const numbers = Object.entries(NUMBERS).find(([name]) => name === process.arch)?.[1];
  if (numbers === undefined || process.platform !== 'linux') {
    throw new SyscallsUnavailableError(
      `system calls of ${process.platform} on ${process.arch} are not known: Linux on ${Object.keys(NUMBERS).join(' or ')} is needed`,
    );
  }
  try {
    const { default: koffi } = await import('koffi');
    const libc = koffi.load(null);
    return {
      // Of fixed arity: variadic functions cannot be called on another thread.
      declare: (name, types) => {
        const syscall = libc.func('syscall', 'long', ['long', ...types]);
        return makeSyscall(name, numbers[name], syscall, () => koffi.errno());
      },
      view: (address, bytes) => koffi.view(BigInt(address), bytes),
    };
  } catch (cause) {
    throw new SyscallsUnavailableError(
      `cannot load koffi (${cause instanceof Error ? cause.message.split('\n')[0] : String(cause)}): install it beside tierd with \`npm install koffi\`, or use engine damos`,
      cause,
    );
  }
}

function makeSyscall(name: string, number: number, syscall: ForeignFunction, errno: () => number): Syscall {
  return {
    call: (args, described) => {
      const result = Number(syscall(number, ...args));
      if (result < 0) throw new SyscallError(name, described, errno());
      return result;
    },
    callAsync: (args, described) =>
      new Promise((resolve, reject) => {
        syscall.async(number, ...args, (error: unknown, result: unknown) => {
          if (error !== null && error !== undefined) reject(error);
          // errno is that of the call only in here.
          else if (Number(result) < 0) reject(new SyscallError(name, described, errno()));
          else resolve(Number(result));
        });
      }),
  };
}
