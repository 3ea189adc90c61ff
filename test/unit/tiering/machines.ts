import type { AddressRange, MemoryNode, MigrationPath, NodeKind, Topology } from '../../../numa/topology.ts';
import type { DamonFeatures } from '../../../tiering/scheme.ts';

const MIB = 1024 * 1024;
/** Nodes lie so far apart that their addresses never touch. */
const NODE_SPACING = 2 ** 36;

export interface MachineNode {
  readonly nodeId: number;
  readonly totalMiB: number;
  /** 0 is the fastest. */
  readonly tier: number;
  readonly highWatermarkMiB?: number;
  /** Default: one range of the whole node. */
  readonly ranges?: readonly AddressRange[];
}

/** A topology as discover() would give it. Without `paths` memory moves between each node and the first one of the tier above. */
export function machine(nodes: readonly MachineNode[], paths: readonly MigrationPath[] = chain(nodes)): Topology {
  const ranks = [...new Set(nodes.map((node) => node.tier))].sort((a, b) => a - b);
  return {
    nodes: nodes.map(toMemoryNode),
    tiers: ranks.map((rank) => ({
      rank,
      nodeIds: nodes.filter((node) => node.tier === rank).map((node) => node.nodeId),
    })),
    tierSource: 'derived',
    paths,
  };
}

function toMemoryNode({ nodeId, totalMiB, tier, highWatermarkMiB = 0, ranges }: MachineNode): MemoryNode {
  const start = (nodeId + 1) * NODE_SPACING;
  const kind: NodeKind = tier === 0 ? 'dram' : 'memory-only';
  return {
    nodeId,
    kind,
    cpus: tier === 0 ? [nodeId] : [],
    totalBytes: totalMiB * MIB,
    freeBytes: totalMiB * MIB,
    highWatermarkBytes: highWatermarkMiB * MIB,
    distances: new Map(),
    ranges: ranges ?? [{ start, end: start + totalMiB * MIB }],
  };
}

function chain(nodes: readonly MachineNode[]): MigrationPath[] {
  const firstOf = (tier: number) => nodes.find((node) => node.tier === tier)?.nodeId;
  return nodes.map(({ nodeId, tier }) => {
    const promotionTarget = firstOf(tier - 1);
    const demotionTarget = firstOf(tier + 1);
    return {
      nodeId,
      ...(promotionTarget === undefined ? {} : { promotionTarget }),
      ...(demotionTarget === undefined ? {} : { demotionTarget }),
    };
  });
}

/** A kernel that can do all that the planner asks about. */
export const ALL_FEATURES: DamonFeatures = {
  migrateActions: true,
  youngFilter: true,
  memcgFilter: true,
  filters: true,
  applyInterval: true,
  allowFilters: true,
  splitFilters: true,
  addrUnit: true,
  effectiveBytes: true,
  traceEvents: ['damon_aggregated', 'damos_before_apply'],
  goalMetrics: ['user_input', 'node_eligible_mem_bp'],
  goalTuners: ['consist', 'temporal'],
  damonStat: true,
};
