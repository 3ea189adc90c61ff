import type { Topology } from '../../../../numa/topology.ts';
import type { EngineName } from '../../../../tiering/engine.ts';
import type { LoopEvent } from '../../../../tiering/loop/event.ts';
import type { LoopState } from '../../../../tiering/loop/state.ts';
import { initialState } from '../../../../tiering/loop/state.ts';
import type { Step } from '../../../../tiering/loop/step.ts';
import { step } from '../../../../tiering/loop/step.ts';
import type { Observation } from '../../../../tiering/observation.ts';
import type { Policy } from '../../../../tiering/policy.ts';
import { DEFAULT_POLICY } from '../../../../tiering/policy.ts';
import type { ResolvedScope } from '../../../../tiering/resolved-scope.ts';
import { isMigrating } from '../../../../tiering/scheme-off.ts';
import type { NodeSnapshot } from '../../../../tiering/snapshot.ts';
import { firstIntervals } from '../../../../tiering/tuner/intervals.ts';
import { ALL_FEATURES, machine } from '../machines.ts';

const MIB = 1024 * 1024;
const NODE_MIB = 1024;
const INTERVAL_MS = firstIntervals(DEFAULT_POLICY).aggregationIntervalMs;

export const EVERYBODY: ResolvedScope = { include: 'all', exclude: [], unmatched: [], isSupported: true };
export const NOBODY: ResolvedScope = {
  include: [],
  exclude: [],
  unmatched: [{ list: 'include', path: '/gone' }],
  isSupported: true,
};

/** A machine of pairs: each even node is fast, with the slow node after it below. */
export function machineOf(nodeCount: number): Topology {
  const nodeIds = Array.from({ length: nodeCount }, (_, nodeId) => nodeId);
  return machine(
    nodeIds.map((nodeId) => ({ nodeId, totalMiB: NODE_MIB, tier: nodeId % 2 })),
    nodeIds.map((nodeId) =>
      nodeId % 2 === 0
        ? { nodeId, promotionTargets: [], demotionTargets: [nodeId + 1] }
        : { nodeId, promotionTargets: [nodeId - 1], demotionTargets: [] },
    ),
  );
}

/** A loop that has been told that it is at work, and what it is told next. */
export class LoopMachine {
  state: LoopState;
  nowMs = 10_000;
  readonly topology: Topology;

  constructor(nodeCount: number, engine: EngineName = 'damos', policy: Policy = DEFAULT_POLICY) {
    this.topology = machineOf(nodeCount);
    this.state = initialState(policy, undefined);
    this.tell({ type: 'started' });
    this.tell({ type: 'discovered', topology: this.topology });
    this.tell({ type: 'scopeChanged', scope: EVERYBODY });
    this.tell({ type: 'engineChosen', engine, features: ALL_FEATURES });
  }

  tell(event: LoopEvent): Step {
    const taken = step(this.state, event, this.nowMs);
    this.state = taken.state;
    return taken;
  }

  get nodeIds(): readonly number[] {
    return this.topology.nodes.map(({ nodeId }) => nodeId);
  }

  /** Newest snapshots: fast nodes are half empty, a quarter of each slow one is hot. */
  snapshots(): ReadonlyMap<number, NodeSnapshot> {
    return new Map(
      this.topology.nodes.map(({ nodeId, ranges, cpus }) => {
        const start = ranges[0]?.start ?? 0;
        const hotEnd = start + (cpus.length > 0 ? 0 : (NODE_MIB / 4) * MIB);
        const end = start + NODE_MIB * MIB;
        const regions = [
          { start, end: hotEnd, nrAccesses: 20, age: 5 },
          { start: hotEnd, end, nrAccesses: 0, age: 5 },
        ].filter((region) => region.end > region.start);
        const timing = { takenAtMs: this.nowMs, aggregationIntervalMs: INTERVAL_MS, maxNrAccesses: 20 };
        return [nodeId, { nodeId, ...timing, regions }] as const;
      }),
    );
  }

  looked(change: Partial<Extract<LoopEvent, { readonly type: 'looked' }>> = {}): LoopEvent {
    return {
      type: 'looked',
      watched: { nodeIds: this.nodeIds, snapshots: this.snapshots() },
      problem: undefined,
      aside: undefined,
      blindNodeIds: [],
      isScopeDue: true,
      endedAtMs: this.nowMs,
      ...change,
    };
  }

  observed(): LoopEvent {
    const snapshots = this.snapshots();
    const observation: Observation = {
      nowMs: this.nowMs,
      nodes: this.topology.nodes.map(({ nodeId, totalBytes }) => {
        const snapshot = snapshots.get(nodeId);
        return {
          nodeId,
          totalBytes,
          freeBytes: totalBytes / 2,
          highWatermarkBytes: 0,
          ...(snapshot && { snapshot }),
          promotedBytes: 0,
          demotedBytes: 0,
          promotionTriedBytes: 0,
          demotionTriedBytes: 0,
        };
      }),
    };
    return { type: 'observed', observation, snapshots, sinceMs: this.nowMs };
  }

  /** One aggregation later: a look, and the decision that follows. */
  decide(): Step {
    this.nowMs += INTERVAL_MS;
    this.tell(this.looked());
    const decision = this.tell(this.observed());
    this.nowMs += 5;
    this.tell({ type: 'carriedOut' });
    this.tell({ type: 'ticked', hasFailed: false });
    return decision;
  }
}

/** Nodes whose memory may move. */
export function movingNodeIds({ kdamonds }: Step): readonly number[] {
  return (kdamonds ?? []).flatMap(({ nodeId, schemes }) =>
    schemes.some((scheme) => isMigrating(scheme)) ? [nodeId] : [],
  );
}
