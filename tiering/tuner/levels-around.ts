import type { Topology } from '../../numa/topology.ts';
import type { NodeObservation } from '../observation.ts';
import { kernelBytesOf } from '../observation.ts';
import type { Policy } from '../policy.ts';
import { keepFreeBytes } from './headroom.ts';
import type { HeatLevels, NodeHeat } from './levels.ts';
import { heatLevels } from './levels.ts';

/** The levels of each node that others promote into, as far as its heat and theirs is known. Pure. */
export function levelsAround(
  observed: ReadonlyMap<number, NodeObservation>,
  topology: Topology,
  promotesTo: (nodeId: number, targetNodeId: number) => boolean,
  policy: Policy,
): ReadonlyMap<number, HeatLevels> {
  const fastest = new Set(topology.tiers[0]?.nodeIds ?? []);
  const levels = new Map<number, HeatLevels>();
  for (const node of observed.values()) {
    const { nodeId, snapshot } = node;
    const fast = nodeHeat(node);
    const sources = [...observed.values()].filter((source) => promotesTo(source.nodeId, nodeId));
    if (sources.length === 0 || fast === undefined || snapshot === undefined) continue;
    const slow = sources.flatMap((source) => nodeHeat(source) ?? []);
    const kernelBytes = kernelBytesOf(node);
    const capacityBytes = node.totalBytes - keepFreeBytes(node, fastest.has(nodeId), policy) - kernelBytes;
    const deadBytes = node.freeBytes + kernelBytes;
    const { maxNrAccesses } = snapshot;
    levels.set(nodeId, heatLevels({ fast, slow, capacityBytes, deadBytes, maxNrAccesses }, policy));
  }
  return levels;
}

function nodeHeat({ heat, movableBytes, totalBytes, freeBytes }: NodeObservation): NodeHeat | undefined {
  return heat && { heat, movableBytes: movableBytes ?? totalBytes - freeBytes };
}
