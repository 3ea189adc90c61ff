import { SyscallError } from '../../../../numa/syscalls/errors.ts';
import { hostMemoryPolicies } from '../../../../numa/syscalls/memory-policy.ts';
import { hostMovePages } from '../../../../numa/syscalls/move-pages.ts';

/** EPERM: a filter of system calls, as containers without CAP_SYS_NICE have; ENOSYS: a kernel without NUMA, or another filter. */
const REFUSALS = ['EPERM', 'ENOSYS'];

/**
 * The system calls on memory nodes that are refused to the tests, whatever their arguments: nothing can be tested of them
 * here. Any other failure is one, and throws.
 */
export async function refusedCalls(): Promise<readonly string[]> {
  const policies = await hostMemoryPolicies();
  const movePages = await hostMovePages();
  const attempts: readonly (() => unknown)[] = [
    () => policies.ofThread(),
    () => policies.setForThread({ mode: 'default', nodeIds: [] }),
    () => policies.setForArea({ address: 0, bytes: 0 }, { mode: 'default', nodeIds: [] }),
    () => movePages({ pid: process.pid, pages: Float64Array.of(1) }),
  ];
  const refused: string[] = [];
  for (const attempt of attempts) {
    try {
      await attempt();
    } catch (error) {
      if (!(error instanceof SyscallError && REFUSALS.includes(error.errno))) throw error;
      refused.push(error.call);
    }
  }
  if (refused.length > 0) console.warn(`not tested: ${refused.join(', ')}, which this host or sandbox refuses`);
  return refused;
}
