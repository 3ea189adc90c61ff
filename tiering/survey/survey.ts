/** What somebody has on one memory node. */
export interface NodeShare {
  readonly nodeId: number;
  readonly sizeBytes: number;
  /** Of that, in regions that are hot. Known of slow nodes only, once they have been watched for an aggregation. */
  readonly hotBytes?: number;
}

/** The memory of a process or cgroup. */
export interface Placement {
  /** On all nodes. */
  readonly sizeBytes: number;
  /** Nodes where there is something, ascending. */
  readonly nodes: readonly NodeShare[];
  /** On all slow nodes: what would be faster one tier up. */
  readonly hotOnSlowBytes?: number;
}

export interface ProcessPlacement extends Placement {
  readonly pid: number;
  /** As in /proc/PID/comm. */
  readonly name: string;
  /** Path from the cgroup mount, where the host has cgroups of version 2. */
  readonly cgroup?: string;
}

export interface CgroupPlacement extends Placement {
  /** From the cgroup mount. */
  readonly path: string;
}

/** Who has memory where: the neediest first, that with most hot memory on slow nodes, and of equals the largest. */
export interface ProcessSurvey {
  /** CLOCK_MONOTONIC, in milliseconds. */
  readonly takenAtMs: number;
  readonly processes: readonly ProcessPlacement[];
  /** What the time did not suffice for, or may not be read. */
  readonly unread: { readonly processes: number; readonly residentBytes: number };
}

export interface CgroupSurvey {
  /** CLOCK_MONOTONIC, in milliseconds. */
  readonly takenAtMs: number;
  /** Why there are none. */
  readonly problem?: string;
  /** Each with all below it. */
  readonly cgroups: readonly CgroupPlacement[];
  /** There are more than were looked at. */
  readonly isPartial: boolean;
  /** Hot memory on slow nodes that no cgroup is charged with: the kernel's, or free. */
  readonly unchargedHotBytes?: number;
}

/** The neediest first. */
export function byNeed(a: Placement, b: Placement): number {
  return (b.hotOnSlowBytes ?? 0) - (a.hotOnSlowBytes ?? 0) || b.sizeBytes - a.sizeBytes;
}

/** @param hotByNode of slow nodes that are watched; undefined: what is hot cannot be told */
export function placement(
  bytesByNode: ReadonlyMap<number, number>,
  hotByNode: ReadonlyMap<number, number> | undefined,
): Placement {
  const nodes = [...bytesByNode]
    .filter(([, sizeBytes]) => sizeBytes > 0)
    .sort(([a], [b]) => a - b)
    .map(([nodeId, sizeBytes]): NodeShare => {
      const hotBytes = hotByNode?.get(nodeId);
      // Snapshot and count are of different moments.
      return { nodeId, sizeBytes, ...(hotBytes !== undefined && { hotBytes: Math.min(hotBytes, sizeBytes) }) };
    });
  return {
    sizeBytes: nodes.reduce((sum, node) => sum + node.sizeBytes, 0),
    nodes,
    ...(hotByNode && { hotOnSlowBytes: nodes.reduce((sum, { hotBytes = 0 }) => sum + hotBytes, 0) }),
  };
}
