import { parseAnonymousAreas } from '../numa/anonymous-areas.ts';
import { formatList } from '../numa/list-format.ts';
import { SyscallError } from '../numa/syscalls/errors.ts';
import type { AddressArea, MemoryPolicies, MemoryPolicy } from '../numa/syscalls/memory-policy.ts';
import { hostMemoryPolicies } from '../numa/syscalls/memory-policy.ts';
import type { SysFs } from '../numa/sysfs.ts';
import type { Topology } from '../numa/topology.ts';
import type { Logger } from './logger.ts';

export const OWN_MEMORY = ['any', 'slow'] as const;
export type OwnMemory = (typeof OWN_MEMORY)[number];

/** What is used of the system, so that tests need not change their own process. */
export interface OwnMemoryParts {
  readonly sysfs: SysFs;
  readonly logger: Logger;
  readonly loadPolicies?: () => Promise<MemoryPolicies>;
}

/**
 * Keeps this process's memory off the fastest tier as far as slower nodes have room: a preference, since a full slow node must
 * not end the daemon. A memory policy belongs to a thread, so it is set on this one, which is nearly all of the daemon, and
 * what it starts inherits it; and on each area of memory that there is, for whichever thread uses it, with what already lies
 * there moved. Not covered: memory that threads which run already (the garbage collector's helpers, the file system's) map for
 * themselves later, and pages of program files, which other processes share. systemd's NUMAPolicy= covers those threads as well.
 * The engine damos promotes hot pages again like anybody's, unless the policy excludes the daemon's cgroup.
 * Never fails: what could not be done is logged.
 */
export async function keepOffFastTier(
  { tiers }: Topology,
  { sysfs, logger, loadPolicies = hostMemoryPolicies }: OwnMemoryParts,
): Promise<void> {
  const slowNodeIds = tiers.filter(({ rank }) => rank > 0).flatMap(({ nodeIds }) => nodeIds);
  if (slowNodeIds.length === 0) return;
  try {
    const policies = await loadPolicies();
    const policy = preferSlow(policies, slowNodeIds);
    for (const area of parseAnonymousAreas(await sysfs.read('/proc/self/maps'))) {
      await bindIfThere(policies, area, policy);
    }
    logger.info({}, `own memory goes to ${nodesText(policy.nodeIds)} as long as there is room`);
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error);
    logger.warn({ err: error }, `own memory cannot be kept off the fast tier: ${reason}`);
  }
}

/** The policy that this kernel takes for the thread. */
function preferSlow(policies: MemoryPolicies, nodeIds: readonly number[]): MemoryPolicy {
  const many: MemoryPolicy = { mode: 'preferred-many', nodeIds };
  try {
    policies.setForThread(many);
    return many;
  } catch (error) {
    // Before Linux 5.15 there is one preferred node.
    if (!(error instanceof SyscallError && error.errno === 'EINVAL')) throw error;
    const one: MemoryPolicy = { mode: 'preferred', nodeIds: nodeIds.slice(0, 1) };
    policies.setForThread(one);
    return one;
  }
}

/** Areas come and go all the time. */
async function bindIfThere(policies: MemoryPolicies, area: AddressArea, policy: MemoryPolicy): Promise<void> {
  try {
    await policies.setForArea(area, policy, true);
  } catch (error) {
    if (!(error instanceof SyscallError && error.errno === 'EFAULT')) throw error;
  }
}

function nodesText(nodeIds: readonly number[]): string {
  return `node${nodeIds.length === 1 ? '' : 's'} ${formatList(nodeIds)}`;
}
