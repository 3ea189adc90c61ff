import { SyscallError } from './errors.ts';
import { loadSyscalls } from './library.ts';
import type { AddressArea } from './memory-policy.ts';

/** Anonymous memory outside the JavaScript heap, which stays until the process ends: a view of unmapped memory would crash it. */
export interface MappedMemory extends AddressArea {
  readonly buffer: ArrayBuffer;
}

/** include/uapi/asm-generic/mman-common.h and mman.h. */
const PROT_READ_WRITE = 1 | 2;
const MAP_PRIVATE_ANONYMOUS = 2 | 0x20;
const MADV_HUGEPAGE = 14;
const NO_FILE = -1;

/**
 * Maps memory that no page frame is behind yet, in huge pages where the kernel has them (mmap(2), madvise(2)). Throws
 * SyscallError, SyscallsUnavailableError.
 *
 *     void *mmap(void *addr, size_t length, int prot, int flags, int fd, off_t offset);
 *     int madvise(void *addr, size_t length, int advice);
 */
export async function mapMemory(bytes: number): Promise<MappedMemory> {
  const library = await loadSyscalls();
  const mmap = library.declare('mmap', ['ulong', 'ulong', 'int', 'int', 'int', 'long']);
  const madvise = library.declare('madvise', ['ulong', 'ulong', 'int']);
  const address = mmap.call([0, bytes, PROT_READ_WRITE, MAP_PRIVATE_ANONYMOUS, NO_FILE, 0], `${bytes} bytes`);
  try {
    madvise.call([address, bytes, MADV_HUGEPAGE], `${bytes} bytes at ${address.toString(16)}, MADV_HUGEPAGE`);
  } catch (error) {
    // A kernel without transparent huge pages.
    if (!(error instanceof SyscallError && error.errno === 'EINVAL')) throw error;
  }
  return { address, bytes, buffer: library.view(address, bytes) };
}
