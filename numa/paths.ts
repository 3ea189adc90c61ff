import type { MemoryNode, MemoryTier, MigrationPath } from './topology.ts';

/** What a node must tell to be a start or an end of a path. */
export type PathCandidate = Pick<MemoryNode, 'nodeId' | 'distances' | 'performance' | 'cxl'>;

/**
 * Where each node's memory may be promoted and demoted to, in the order of preference: tier by tier, beginning with the next
 * one, and within a tier the nearest node first. So three tiers make a chain as long as there is room between. A node in no
 * tier has no targets.
 */
export function migrationPaths(
  nodes: readonly PathCandidate[],
  tiers: readonly MemoryTier[],
): readonly MigrationPath[] {
  return nodes.map((node) => {
    const rank = tiers.find(({ nodeIds }) => nodeIds.includes(node.nodeId))?.rank;
    if (rank === undefined) return { nodeId: node.nodeId, promotionTargets: [], demotionTargets: [] };
    const ofTier = ({ nodeIds }: MemoryTier) =>
      nearestFirst(
        node,
        nodes.filter(({ nodeId }) => nodeIds.includes(nodeId)),
      );
    const nextTierFirst = tiers.toSorted((a, b) => Math.abs(a.rank - rank) - Math.abs(b.rank - rank));
    return {
      nodeId: node.nodeId,
      promotionTargets: nextTierFirst.filter((tier) => tier.rank < rank).flatMap(ofTier),
      demotionTargets: nextTierFirst.filter((tier) => tier.rank > rank).flatMap(ofTier),
    };
  });
}

/**
 * Distance comes first because it is the only figure the kernel gives for every pair of nodes. Hot-plugged CXL nodes often
 * have the same default distance to every socket: then the socket that HMAT or the device's PCI bus names is nearer, then
 * the lower latency (told only as seen from a node's own nearest CPUs, by one source for all), then the lowest id.
 */
function nearestFirst(from: PathCandidate, candidates: readonly PathCandidate[]): readonly number[] {
  const sources = new Set(candidates.map(({ performance }) => performance?.source));
  const comparable = sources.size === 1;
  const order = (to: PathCandidate) => [
    from.distances.get(to.nodeId) ?? Number.MAX_SAFE_INTEGER,
    attachedNodes(from).has(to.nodeId) || attachedNodes(to).has(from.nodeId) ? 0 : 1,
    (comparable ? to.performance?.readLatencyNs : undefined) ?? Number.MAX_SAFE_INTEGER,
    to.nodeId,
  ];
  return candidates.toSorted((a, b) => compareInOrder(order(a), order(b))).map(({ nodeId }) => nodeId);
}

/** Nodes whose CPUs the memory hangs on. */
function attachedNodes({ performance, cxl }: PathCandidate): ReadonlySet<number> {
  const ofDevices = cxl?.devices.flatMap(({ numaNode }) => (numaNode === undefined ? [] : [numaNode])) ?? [];
  return new Set([...(performance?.initiatorNodeIds ?? []), ...ofDevices]);
}

function compareInOrder(a: readonly number[], b: readonly number[]): number {
  for (const [index, value] of a.entries()) {
    const difference = value - (b[index] ?? 0);
    if (difference !== 0) return difference;
  }
  return 0;
}
