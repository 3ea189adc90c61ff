import type { MemoryNode, MemoryTier, NodePerformance, PerformanceSource, TierSource } from './topology.ts';

/** Configured tiers that no machine like this one can have. */
class TierConfigurationError extends Error {
  readonly code: 'TIERD_TIERS_UNKNOWN_NODE' | 'TIERD_TIERS_DUPLICATE_NODE' | 'TIERD_TIERS_EMPTY';
  readonly nodeId?: number;

  constructor(code: TierConfigurationError['code'], message: string, nodeId?: number) {
    super(message);
    this.name = 'TierConfigurationError';
    this.code = code;
    if (nodeId !== undefined) this.nodeId = nodeId;
  }
}

/** What a node must tell to be put into a tier. */
export type TierCandidate = Pick<MemoryNode, 'nodeId' | 'kind' | 'distances' | 'performance'>;

/** What is known of the order of nodes. Lists of node ids run from fast to slow. */
export interface TierKnowledge {
  /** The kernel's own tiers (`memory_tierN/nodelist`, ascending N); empty where it has none. */
  readonly kernel: readonly (readonly number[])[];
  /** The operator's tiers. */
  readonly configured?: readonly (readonly number[])[];
  /** Every node the machine may ever have (`possible`), so that a node without memory today is not taken for a typing error. */
  readonly possibleNodeIds: readonly number[];
  /** Nodes with CPUs, those without memory too. */
  readonly cpuNodeIds: readonly number[];
}

/**
 * Tiers of the nodes with memory, fastest first; none is empty.
 *
 * 1. Configured tiers win. Nodes they do not name are left out of tiering.
 * 2. The kernel's tiers count when they tell nodes apart and know every node.
 * 3. Otherwise (one tier for all, as before Linux 6.7 even with HMAT, or none) they are derived, see `deriveTiers`.
 *
 * Throws TierConfigurationError. Kernel document: ABI/testing/sysfs-kernel-mm-memory-tiers.
 */
export function arrangeTiers(
  nodes: readonly TierCandidate[],
  knowledge: TierKnowledge,
): { readonly tiers: readonly MemoryTier[]; readonly source: TierSource } {
  const present = new Set(nodes.map(({ nodeId }) => nodeId));
  if (knowledge.configured !== undefined) {
    checkConfigured(knowledge.configured, knowledge.possibleNodeIds);
    return { tiers: ranked(knowledge.configured, present), source: 'configured' };
  }
  const kernel = ranked(knowledge.kernel, present);
  const knowsAll = kernel.reduce((count, { nodeIds }) => count + nodeIds.length, 0) === present.size;
  if (knowsAll && kernel.length > 1) return { tiers: kernel, source: 'kernel' };
  const derived = deriveTiers(nodes, knowledge.cpuNodeIds);
  return { tiers: derived, source: knowsAll && derived.length === kernel.length ? 'kernel' : 'derived' };
}

/**
 * From this ratio of read latencies on, nodes differ in tier even at equal distance. Firmware's figures are often coarse; what
 * was measured is nearer to what programs meet.
 */
const latencySteps: Readonly<Record<PerformanceSource, number>> = { hmat: 1.5, probe: 1.3 };

/**
 * Tiers from what distinguishes the nodes: those with CPUs are the fast tier, CXL memory and other nodes without CPUs are
 * slower, as is a node with CPUs that was measured to be. Among the slower, a greater distance to the nearest CPU node, or a
 * read latency a step above that of the tier's fastest node, begins a further tier.
 */
function deriveTiers(nodes: readonly TierCandidate[], cpuNodeIds: readonly number[]): readonly MemoryTier[] {
  const withCpus = nodes.filter(({ kind }) => kind === 'dram');
  const measuredSlower = ({ performance }: TierCandidate) =>
    performance?.source === 'probe' && withCpus.some((other) => isStepSlower(performance, other.performance));
  const fast = withCpus.filter((node) => !measuredSlower(node));
  const slow = nodes
    .filter((node) => !fast.includes(node))
    .map(({ nodeId, distances, performance }) => ({
      nodeId,
      distance: Math.min(...cpuNodeIds.map((cpuNodeId) => distances.get(cpuNodeId) ?? Number.POSITIVE_INFINITY)),
      performance,
    }))
    .sort((a, b) => compare(a.distance, b.distance) || latencyOrder(a.performance, b.performance));

  const groups: number[][] = fast.length > 0 ? [fast.map(({ nodeId }) => nodeId)] : [];
  let leader: (typeof slow)[number] | undefined;
  for (const node of slow) {
    const slower = isStepSlower(node.performance, leader?.performance);
    if (leader === undefined || node.distance !== leader.distance || slower) {
      groups.push([node.nodeId]);
      leader = node;
    } else {
      groups.at(-1)?.push(node.nodeId);
    }
  }
  return ranked(groups, new Set(nodes.map(({ nodeId }) => nodeId)));
}

function isStepSlower(performance: NodePerformance | undefined, than: NodePerformance | undefined): boolean {
  if (performance?.readLatencyNs === undefined || than?.readLatencyNs === undefined) return false;
  if (performance.source !== than.source) return false;
  return performance.readLatencyNs >= than.readLatencyNs * latencySteps[performance.source];
}

/** By source first, as latencies of two sources have no order. */
function latencyOrder(a: NodePerformance | undefined, b: NodePerformance | undefined): number {
  return compareText(a?.source, b?.source) || (a?.readLatencyNs ?? 0) - (b?.readLatencyNs ?? 0);
}

function compareText(a = '', b = ''): number {
  return a < b ? -1 : Number(a > b);
}

/** Infinite distances (no CPU node known) are equal to each other, which subtraction would not say. */
function compare(a: number, b: number): number {
  return a === b ? 0 : a - b;
}

/** Keeps nodes that have memory, drops tiers left empty, and numbers the rest. */
function ranked(lists: readonly (readonly number[])[], present: ReadonlySet<number>): readonly MemoryTier[] {
  return lists
    .map((list) => list.filter((nodeId) => present.has(nodeId)).sort((a, b) => a - b))
    .filter((list) => list.length > 0)
    .map((nodeIds, rank) => ({ rank, nodeIds }));
}

function checkConfigured(tiers: readonly (readonly number[])[], possibleNodeIds: readonly number[]): void {
  const seen = new Set<number>();
  if (tiers.length === 0)
    throw new TierConfigurationError('TIERD_TIERS_EMPTY', 'the configured tiers are an empty list');
  for (const [index, tier] of tiers.entries()) {
    if (tier.length === 0) {
      throw new TierConfigurationError('TIERD_TIERS_EMPTY', `configured tier ${index} names no node`);
    }
    for (const nodeId of tier) {
      if (!possibleNodeIds.includes(nodeId)) {
        const message = `configured tier ${index} names node ${nodeId}, which this machine does not have`;
        throw new TierConfigurationError('TIERD_TIERS_UNKNOWN_NODE', message, nodeId);
      }
      if (seen.has(nodeId)) {
        const message = `the configured tiers name node ${nodeId} twice`;
        throw new TierConfigurationError('TIERD_TIERS_DUPLICATE_NODE', message, nodeId);
      }
      seen.add(nodeId);
    }
  }
}
