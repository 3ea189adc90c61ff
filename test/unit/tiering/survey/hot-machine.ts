import type { Topology } from '../../../../numa/topology.ts';
import { DEFAULT_POLICY } from '../../../../tiering/policy.ts';
import type { NodeSnapshot } from '../../../../tiering/snapshot.ts';
import { SlowFrames } from '../../../../tiering/survey/slow-frames.ts';

export const PAGE = 4096;

/** Node 0 is fast, node 1 slow, node 2 slower. */
export const TOPOLOGY: Topology = {
  nodes: [],
  tiers: [
    { rank: 0, nodeIds: [0] },
    { rank: 1, nodeIds: [1] },
    { rank: 2, nodeIds: [2] },
  ],
  tierSource: 'kernel',
  paths: [
    { nodeId: 0, promotionTargets: [], demotionTargets: [1] },
    { nodeId: 1, promotionTargets: [0], demotionTargets: [2] },
    { nodeId: 2, promotionTargets: [1], demotionTargets: [] },
  ],
};

/** Frames from here to there, and their accesses out of 10. */
export type Watched = readonly [startFrame: number, endFrame: number, nrAccesses: number];

export function snapshotOf(nodeId: number, regions: readonly Watched[]): NodeSnapshot {
  return {
    nodeId,
    takenAtMs: 0,
    maxNrAccesses: 10,
    aggregationIntervalMs: 500,
    regions: regions.map(([startFrame, endFrame, nrAccesses]) => ({
      start: startFrame * PAGE,
      end: endFrame * PAGE,
      nrAccesses,
      age: 3,
    })),
  };
}

export function slowFrames(...snapshots: readonly NodeSnapshot[]): SlowFrames {
  return new SlowFrames(TOPOLOGY, snapshots, DEFAULT_POLICY, PAGE);
}
