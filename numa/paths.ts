import type { MemoryNode, MemoryTier, MigrationPath } from './topology.ts';

/** What a node must tell to be a start or an end of a path. */
export type PathCandidate = Pick<MemoryNode, 'nodeId' | 'distances' | 'performance' | 'cxl'>;

/**
 * Where each node's memory is promoted and demoted to: the nearest node of the next faster and the next slower tier, so
 * that three tiers make a chain. A node in no tier has neither target.
 */
export function migrationPaths(
  nodes: readonly PathCandidate[],
  tiers: readonly MemoryTier[],
): readonly MigrationPath[] {
  const rankOf = new Map(tiers.flatMap(({ rank, nodeIds }) => nodeIds.map((nodeId) => [nodeId, rank] as const)));
  return nodes.map((node) => {
    const rank = rankOf.get(node.nodeId);
    if (rank === undefined) return { nodeId: node.nodeId };
    const promotionTarget = nearest(
      node,
      nodes.filter(({ nodeId }) => rankOf.get(nodeId) === rank - 1),
    );
    const demotionTarget = nearest(
      node,
      nodes.filter(({ nodeId }) => rankOf.get(nodeId) === rank + 1),
    );
    return {
      nodeId: node.nodeId,
      ...(promotionTarget !== undefined && { promotionTarget }),
      ...(demotionTarget !== undefined && { demotionTarget }),
    };
  });
}

/**
 * Distance comes first because it is the only figure the kernel gives for every pair of nodes. Hot-plugged CXL nodes often
 * have the same default distance to every socket: then the socket that HMAT or the device's PCI bus names is nearer, then
 * the lower latency (told only as seen from a node's own nearest CPUs, by one source for all), then the lowest id.
 */
function nearest(from: PathCandidate, candidates: readonly PathCandidate[]): number | undefined {
  const sources = new Set(candidates.map(({ performance }) => performance?.source));
  const comparable = sources.size === 1;
  const order = (to: PathCandidate) => [
    from.distances.get(to.nodeId) ?? Number.MAX_SAFE_INTEGER,
    attachedNodes(from).has(to.nodeId) || attachedNodes(to).has(from.nodeId) ? 0 : 1,
    (comparable ? to.performance?.readLatencyNs : undefined) ?? Number.MAX_SAFE_INTEGER,
    to.nodeId,
  ];
  return candidates.toSorted((a, b) => compareInOrder(order(a), order(b)))[0]?.nodeId;
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
