import { isDeviceMemory } from './memory-kind.ts';
import type { Topology } from './topology.ts';

/** `device`: its memory is a device's; `unknown-speed`: nothing says whether it is slower or faster than others. */
export const LEFT_ALONE_REASONS = ['device', 'unknown-speed'] as const;

/** A node that is in no tier though nobody configured that. */
export interface NodeLeftAlone {
  readonly nodeId: number;
  readonly reason: (typeof LEFT_ALONE_REASONS)[number];
  /** The line of the configuration file that would take it in as the slowest memory. */
  readonly tiersLine: string;
  /** For people. */
  readonly message: string;
}

/** Nodes that nothing is moved to or from, as it is not known that it would do good. Pure. */
export function nodesLeftAlone({ nodes, tiers, tierSource }: Topology): readonly NodeLeftAlone[] {
  if (tierSource === 'configured') return [];
  const tiered = new Set(tiers.flatMap(({ nodeIds }) => nodeIds));
  return nodes
    .filter(({ nodeId }) => !tiered.has(nodeId))
    .map((node) => {
      const { nodeId, driver } = node;
      const lists = [...tiers.map(({ nodeIds }) => nodeIds), [nodeId]];
      const tiersLine = `tiers: [${lists.map((list) => `[${list.join(', ')}]`).join(', ')}]`;
      if (isDeviceMemory(node)) {
        const what = `memory node ${nodeId} is a device's memory (System RAM of the driver ${driver})`;
        const message = `${what}: nothing is moved to or from it; to use it all the same, configure ${tiersLine}`;
        return { nodeId, reason: 'device', tiersLine, message };
      }
      const what = `memory node ${nodeId} has no CPUs, and nothing tells whether it is slower or faster than others`;
      const message = `${what}: nothing is moved to or from it; measure it (POST /v1/probe), or if it is slower configure ${tiersLine}`;
      return { nodeId, reason: 'unknown-speed', tiersLine, message };
    });
}
