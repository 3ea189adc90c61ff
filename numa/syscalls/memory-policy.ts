import { formatList } from '../list-format.ts';
import { loadSyscalls } from './library.ts';

/** In the order of include/uapi/linux/mempolicy.h. */
const MODES = ['default', 'preferred', 'bind', 'interleave', 'local', 'preferred-many', 'weighted-interleave'] as const;

/**
 * `default`: what the thread's policy says, for a thread the node of its CPU; `preferred` and `preferred-many` (Linux 5.15):
 * these nodes, others when they are full; `bind`: these nodes or none; `interleave`: by turns, weighted from Linux 6.9;
 * `local`: the node of the CPU.
 */
type MemoryPolicyMode = (typeof MODES)[number];

/** Which nodes new pages come from. */
export interface MemoryPolicy {
  readonly mode: MemoryPolicyMode;
  /** 0 to 1023; none for `default` and `local`. */
  readonly nodeIds: readonly number[];
}

/** Virtual memory of this process; addresses of user space are below 2^47 unless higher ones are asked for. */
export interface AddressArea {
  /** A multiple of the page size. */
  readonly address: number;
  readonly bytes: number;
}

export interface MemoryPolicies {
  /** Policy of this thread, and of threads and processes that it starts from now on. Throws SyscallError: EINVAL for a node that is not there. */
  setForThread(policy: MemoryPolicy): void;
  /** Policy of this thread. Throws SyscallError. */
  ofThread(): MemoryPolicy;
  /**
   * Policy of an area, whichever thread uses it. `move`: pages of other nodes that no other process maps are moved, as far as
   * there is room; that takes time, so it is done on a thread of its own. Throws SyscallError: EINVAL for a node that is not
   * there, EFAULT for an area that is not mapped.
   */
  setForArea(area: AddressArea, policy: MemoryPolicy, move?: boolean): Promise<void>;
}

const MPOL_MF_MOVE = 2;
/** CONFIG_NODES_SHIFT is at most 10. */
const MAX_NODES = 1024;
/** The kernel counts one bit less than it is told. */
const MAX_NODE = MAX_NODES + 1;
const BITS_PER_WORD = 32;

/**
 * Memory policies of the running kernel (set_mempolicy(2), get_mempolicy(2), mbind(2)). Throws SyscallsUnavailableError.
 *
 *     long set_mempolicy(int mode, const unsigned long *nodemask, unsigned long maxnode);
 *     long get_mempolicy(int *mode, unsigned long *nodemask, unsigned long maxnode, void *addr, unsigned long flags);
 *     long mbind(void *addr, unsigned long len, int mode, const unsigned long *nodemask, unsigned long maxnode, unsigned int flags);
 */
export async function hostMemoryPolicies(): Promise<MemoryPolicies> {
  const library = await loadSyscalls();
  const setPolicy = library.declare('set_mempolicy', ['int', 'void *', 'ulong']);
  const getPolicy = library.declare('get_mempolicy', ['void *', 'void *', 'ulong', 'ulong', 'ulong']);
  const mbind = library.declare('mbind', ['ulong', 'ulong', 'int', 'void *', 'ulong', 'uint']);

  return {
    setForThread: (policy) => {
      setPolicy.call([MODES.indexOf(policy.mode), nodeMask(policy), MAX_NODE], describe(policy));
    },
    ofThread: () => {
      const mode = new Int32Array(1);
      const mask = emptyMask();
      getPolicy.call([mode, mask, MAX_NODE, 0, 0], 'of this thread');
      return { mode: modeOf(mode[0]), nodeIds: nodesOf(mask) };
    },
    setForArea: async ({ address, bytes }, policy, move = false) => {
      const described = `${bytes} bytes at ${address.toString(16)}, ${describe(policy)}${move ? ', move' : ''}`;
      const args = [address, bytes, MODES.indexOf(policy.mode), nodeMask(policy), MAX_NODE, move ? MPOL_MF_MOVE : 0];
      await mbind.callAsync(args, described);
    },
  };
}

/** As unsigned longs of a little-endian machine, which both architectures are. */
function emptyMask(): Uint32Array {
  return new Uint32Array(MAX_NODES / BITS_PER_WORD);
}

function nodeMask({ nodeIds }: MemoryPolicy): Uint32Array | null {
  if (nodeIds.length === 0) return null;
  const mask = emptyMask();
  for (const nodeId of nodeIds) {
    if (!Number.isInteger(nodeId) || nodeId < 0 || nodeId >= MAX_NODES) {
      throw new RangeError(`${nodeId} is no node id: 0 to ${MAX_NODES - 1}`);
    }
    const word = Math.floor(nodeId / BITS_PER_WORD);
    mask[word] = (mask[word] ?? 0) | (1 << (nodeId % BITS_PER_WORD));
  }
  return mask;
}

function nodesOf(mask: Uint32Array): readonly number[] {
  return Array.from({ length: MAX_NODES }, (_, nodeId) => nodeId).filter(
    (nodeId) => ((mask[Math.floor(nodeId / BITS_PER_WORD)] ?? 0) >>> (nodeId % BITS_PER_WORD)) & 1,
  );
}

/** Mode flags (static or relative nodes) are in the upper bits. */
const MODE_BITS = 0xff;

function modeOf(value = 0): MemoryPolicyMode {
  const mode = MODES[value & MODE_BITS];
  if (mode === undefined) throw new RangeError(`memory policy mode ${value} is not known`);
  return mode;
}

function describe({ mode, nodeIds }: MemoryPolicy): string {
  return nodeIds.length === 0 ? mode : `${mode} of nodes ${formatList(nodeIds)}`;
}
