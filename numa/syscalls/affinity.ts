import { formatList } from '../list-format.ts';
import { loadSyscalls } from './library.ts';

const BITS_PER_WORD = 32;
/** CONFIG_NR_CPUS is at most 8192. */
const MAX_CPUS = 8192;

/**
 * Keeps this thread, and threads that it starts from now on, on some CPUs. Throws SyscallError: EINVAL when none of them is
 * allowed here; SyscallsUnavailableError.
 *
 *     int sched_setaffinity(pid_t pid, size_t cpusetsize, const cpu_set_t *mask);
 */
export async function stayOnCpus(cpus: readonly number[]): Promise<void> {
  const library = await loadSyscalls();
  const setAffinity = library.declare('sched_setaffinity', ['int', 'ulong', 'void *']);
  const mask = new Uint32Array(MAX_CPUS / BITS_PER_WORD);
  for (const cpu of cpus) {
    const word = Math.floor(cpu / BITS_PER_WORD);
    mask[word] = (mask[word] ?? 0) | (1 << (cpu % BITS_PER_WORD));
  }
  setAffinity.call([0, mask.byteLength, mask], `this thread, CPUs ${formatList(cpus)}`);
}
