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

/** A topology as discover() would give it. Without `paths` all nodes of a tier are equally far from those of another, so the lowest id is preferred. */
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
  const byTier = nodes.toSorted((a, b) => a.tier - b.tier || a.nodeId - b.nodeId);
  const ids = (chosen: readonly MachineNode[]) => chosen.map(({ nodeId }) => nodeId);
  return nodes.map(({ nodeId, tier }) => ({
    nodeId,
    promotionTargets: ids(
      byTier.filter((node) => node.tier < tier).toSorted((a, b) => b.tier - a.tier || a.nodeId - b.nodeId),
    ),
    demotionTargets: ids(byTier.filter((node) => node.tier > tier)),
  }));
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
  maxPasses: true,
  filterPassedBytes: true,
  effectiveBytes: true,
  traceEvents: ['damon_aggregated', 'damos_before_apply'],
  goalMetrics: ['user_input', 'node_eligible_mem_bp'],
  goalTuners: ['consist', 'temporal'],
  damonStat: true,
  commitsTargetNid: true,
};
