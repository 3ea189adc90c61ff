import { isDeviceMemory, isSlowByKind } from './memory-kind.ts';
import type { Speed } from './speed.ts';
import { compareSpeed, isStepSlower } from './speed.ts';
import type { MemoryNode, MemoryTier, NodePerformance, TierSource } from './topology.ts';

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
export type TierCandidate = Pick<MemoryNode, 'nodeId' | 'kind' | 'driver' | 'distances' | 'performance' | 'measured'>;

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
 * 2. Memory of a device, such as a GPU, is left out unless configured.
 * 3. The kernel's tiers count when they tell nodes apart and know every node.
 * 4. Otherwise (one tier for all, as before Linux 6.7 even with HMAT, or none) they are derived, see `deriveTiers`.
 *
 * Throws TierConfigurationError. Kernel document: ABI/testing/sysfs-kernel-mm-memory-tiers.
 */
export function arrangeTiers(
  nodes: readonly TierCandidate[],
  knowledge: TierKnowledge,
): { readonly tiers: readonly MemoryTier[]; readonly source: TierSource } {
  if (knowledge.configured !== undefined) {
    checkConfigured(knowledge.configured, knowledge.possibleNodeIds);
    return { tiers: ranked(knowledge.configured, new Set(nodes.map(({ nodeId }) => nodeId))), source: 'configured' };
  }
  const candidates = nodes.filter((node) => !isDeviceMemory(node));
  const present = new Set(candidates.map(({ nodeId }) => nodeId));
  const kernel = ranked(knowledge.kernel, present);
  const knowsAll = kernel.reduce((count, { nodeIds }) => count + nodeIds.length, 0) === present.size;
  if (knowsAll && kernel.length > 1) return { tiers: kernel, source: 'kernel' };
  const derived = deriveTiers(candidates, knowledge.cpuNodeIds);
  return { tiers: derived, source: isSame(derived, kernel) ? 'kernel' : 'derived' };
}

function isSame(tiers: readonly MemoryTier[], others: readonly MemoryTier[]): boolean {
  return JSON.stringify(tiers) === JSON.stringify(others);
}

/** Distance of memory that is the CPUs' own. */
const localDistance = 10;

/**
 * Tiers from what distinguishes the nodes. Nodes with CPUs are one tier, but for those that were measured to be slower. CXL
 * memory and kmem's are slower by kind. Other nodes without CPUs are where firmware's or measured figures put them; one at distance 10 is as fast as its
 * CPUs' own memory. Without figures a node is in no tier, see `nodesLeftAlone`. Among the slower, a greater distance to the nearest CPU node, or a read latency
 * a step above that of the tier's fastest node, begins a further tier.
 */
function deriveTiers(nodes: readonly TierCandidate[], cpuNodeIds: readonly number[]): readonly MemoryTier[] {
  const distanceOf = ({ distances }: TierCandidate) =>
    Math.min(...cpuNodeIds.map((cpuNodeId) => distances.get(cpuNodeId) ?? Number.POSITIVE_INFINITY));
  const dram = referenceNodes(nodes, distanceOf);
  const measuredSlower = ({ performance }: TierCandidate) =>
    performance?.source === 'probe' && dram.some((other) => isStepSlower(performance, other.performance));
  const fast = dram.filter((node) => !measuredSlower(node));
  const speedOf = (node: TierCandidate): Speed | undefined => {
    if (dram.includes(node) || isSlowByKind(node)) return 'slower';
    const speeds = fast
      .toSorted((a, b) => (node.distances.get(a.nodeId) ?? 0) - (node.distances.get(b.nodeId) ?? 0))
      .map((other) => compareSpeed(node, other));
    return speeds.find((speed) => speed !== undefined) ?? (distanceOf(node) === localDistance ? 'equal' : undefined);
  };
  const others = nodes.filter((node) => !fast.includes(node)).map((node) => ({ node, speed: speedOf(node) }));
  const of = (wanted: Speed) => others.filter(({ speed }) => speed === wanted).map(({ node }) => node);
  const middle = [...fast, ...of('equal')].map(({ nodeId }) => nodeId);
  const groups = [
    ...fasterGroups(of('faster')),
    ...(middle.length > 0 ? [middle] : []),
    ...slowerGroups(of('slower'), distanceOf),
  ];
  return ranked(groups, new Set(nodes.map(({ nodeId }) => nodeId)));
}

/** What others are compared with: memory of nodes with CPUs, or where these have none what lies nearest to them. */
function referenceNodes(
  nodes: readonly TierCandidate[],
  distanceOf: (node: TierCandidate) => number,
): readonly TierCandidate[] {
  const withCpus = nodes.filter(({ kind }) => kind === 'dram');
  if (withCpus.length > 0) return withCpus;
  const plain = nodes.filter((node) => !isSlowByKind(node));
  const nearest = Math.min(...plain.map(distanceOf));
  return plain.filter((node) => distanceOf(node) === nearest);
}

function fasterGroups(nodes: readonly TierCandidate[]): number[][] {
  const sorted = nodes.toSorted((a, b) => {
    const speed = compareSpeed(a, b);
    return speed === 'faster' ? -1 : Number(speed === 'slower') || latencyOrder(a.performance, b.performance);
  });
  const groups: number[][] = [];
  let leader: TierCandidate | undefined;
  for (const node of sorted) {
    if (leader === undefined || compareSpeed(node, leader) === 'slower') {
      groups.push([]);
      leader = node;
    }
    groups.at(-1)?.push(node.nodeId);
  }
  return groups;
}

function slowerGroups(nodes: readonly TierCandidate[], distanceOf: (node: TierCandidate) => number): number[][] {
  const sorted = nodes
    .map((node) => ({ nodeId: node.nodeId, distance: distanceOf(node), performance: node.performance }))
    .sort((a, b) => compare(a.distance, b.distance) || latencyOrder(a.performance, b.performance));
  const groups: number[][] = [];
  let leader: (typeof sorted)[number] | undefined;
  for (const node of sorted) {
    const isFurther = node.distance !== leader?.distance || isStepSlower(node.performance, leader.performance);
    if (leader === undefined || isFurther) {
      groups.push([]);
      leader = node;
    }
    groups.at(-1)?.push(node.nodeId);
  }
  return groups;
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
