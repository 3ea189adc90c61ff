import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { EngineName } from '../../../../tiering/engine.ts';
import type { LoopEvent } from '../../../../tiering/loop/event.ts';
import type { Step } from '../../../../tiering/loop/step.ts';
import { step } from '../../../../tiering/loop/step.ts';
import { DEFAULT_POLICY } from '../../../../tiering/policy.ts';
import { EVERYBODY, LoopMachine, machineOf, movingNodeIds, NOBODY } from './loop-machine.ts';

const SEED = 20_261_128;

/** What may happen next, by name; made when it happens. */
const HAPPENINGS = {
  looks: (loop: LoopMachine): LoopEvent => loop.looked(),
  steppedAside: (loop) => loop.looked({ aside: 'somebody switched it off' }),
  blind: (loop) => loop.looked({ blindNodeIds: loop.nodeIds.slice(-1) }),
  observed: (loop) => loop.observed(),
  carriedOut: () => ({ type: 'carriedOut' }),
  ticked: () => ({ type: 'ticked', hasFailed: false }),
  failed: () => ({ type: 'tickFailed', error: new Error('no room') }),
  quietenFailed: () => ({ type: 'quietenFailed', error: 'busy' }),
  troubled: () => ({ type: 'nodesTroubled', problem: 'node 1: off' }),
  mended: () => ({ type: 'nodesTroubled', problem: undefined }),
  applied: () => ({ type: 'kdamondApplied', nodeId: 0 }),
  dryRun: () => ({ type: 'policyChanged', policy: { ...DEFAULT_POLICY, dryRun: true }, scope: EVERYBODY }),
  wetRun: () => ({ type: 'policyChanged', policy: DEFAULT_POLICY, scope: EVERYBODY }),
  cgroupsGone: () => ({ type: 'scopeChanged', scope: NOBODY }),
  cgroupsBack: () => ({ type: 'scopeChanged', scope: EVERYBODY }),
  nodesCame: (loop) => ({
    type: 'topologyChanged',
    topology: machineOf(loop.nodeIds.length + 2),
    description: 'nodes came',
  }),
  nodesWent: (loop) => ({ type: 'topologyChanged', topology: loop.topology, description: 'nodes went' }),
  paused: () => ({ type: 'paused', since: new Date(0) }),
  resumed: () => ({ type: 'resumed' }),
  takenBack: () => ({ type: 'takenBack' }),
  measuring: () => ({ type: 'measuring' }),
  stopped: () => ({ type: 'stopped' }),
} satisfies Record<string, (loop: LoopMachine) => LoopEvent>;

type Happening = (loop: LoopMachine) => LoopEvent;
const { stopped, ...others } = HAPPENINGS;
const course = fc.array(
  fc.record({
    afterMs: fc.integer({ min: 0, max: 2_000 }),
    // Mostly what moves memory, and an end only now and then.
    happening: fc.oneof(
      { weight: 12, arbitrary: fc.constantFrom<Happening[]>(...Object.values(others)) },
      { weight: 6, arbitrary: fc.constantFrom<Happening[]>(HAPPENINGS.looks, HAPPENINGS.observed) },
      { weight: 1, arbitrary: fc.constant<Happening>(stopped) },
    ),
  }),
  { maxLength: 40 },
);

/** Goes through random courses of one loop, and looks at each step with the event it followed from. */
function always(look: (taken: Step, event: LoopEvent, loop: LoopMachine) => void): void {
  const machines = fc.record({
    nodeCount: fc.constantFrom(2, 16),
    engine: fc.constantFrom<EngineName[]>('damos', 'move_pages'),
  });
  const property = fc.property(machines, course, ({ nodeCount, engine }, events) => {
    const loop = new LoopMachine(nodeCount, engine);
    for (const { afterMs, happening } of events) {
      loop.nowMs += afterMs;
      const event = happening(loop);
      look(loop.tell(event), event, loop);
    }
  });
  fc.assert(property, { seed: SEED, numRuns: 400 });
}

const serves = ({ effects }: Step) => effects.some(({ type }) => type === 'serve');

describe('in whatever order things happen', () => {
  it('nothing is ordered while paused, aside or stopped, nor when no cgroup is in scope', () => {
    let [held, free] = [0, 0];
    always((taken) => {
      const { pausedSince, aside, isStopped, scope } = taken.state;
      const mustRest = pausedSince !== undefined || aside !== undefined || isStopped;
      const moves = movingNodeIds(taken).length > 0;
      if (mustRest) expect([moves, serves(taken)]).toEqual([false, false]);
      if (aside !== undefined || isStopped) expect(taken.kdamonds).toBeUndefined();
      if (scope.include !== 'all') expect(moves).toBe(false);
      if (mustRest) held += 1;
      else if (moves) free += 1;
    });
    // Or the courses would show nothing.
    expect(Math.min(held, free)).toBeGreaterThan(50);
  });

  it('in a dry run no scheme may move anything, and the engine is told that it is one', () => {
    let seen = 0;
    always((taken) => {
      if (!taken.state.policy.dryRun) return;
      expect(movingNodeIds(taken)).toEqual([]);
      for (const effect of taken.effects) {
        if (effect.type !== 'serve') continue;
        expect(effect.input.policy.dryRun).toBe(true);
        seen += 1;
      }
    });
    expect(seen).toBeGreaterThan(10);
  });

  it('nothing is ordered out of a node that nothing is seen of', () => {
    always((taken) => {
      const { blindNodeIds, tuning } = taken.state;
      const ordered = tuning?.orders.map(({ nodeId }) => nodeId) ?? [];
      expect(ordered.filter((nodeId) => blindNodeIds.includes(nodeId))).toEqual([]);
    });
  });

  it('the state is a plain value that is never changed, and the same step follows from a copy of it', () => {
    const machines = fc.constantFrom(2, 16);
    const property = fc.property(machines, course, (nodeCount, events) => {
      const loop = new LoopMachine(nodeCount);
      for (const { afterMs, happening } of events) {
        loop.nowMs += afterMs;
        const { state } = loop;
        const copy = structuredClone(state);
        const event = happening(loop);
        const taken = loop.tell(event);
        expect(state).toEqual(copy);
        expect(step(copy, structuredClone(event), loop.nowMs)).toEqual(taken);
      }
    });
    fc.assert(property, { seed: SEED, numRuns: 30 });
  });
});
