import { describe, expect, it } from 'vitest';
import type { Effect } from '../../../../tiering/loop/effect.ts';
import { engineState } from '../../../../tiering/loop/state.ts';
import { DEFAULT_POLICY } from '../../../../tiering/policy.ts';
import { EVERYBODY, LoopMachine, machineOf, movingNodeIds, NOBODY } from './loop-machine.ts';

const SINCE = new Date('2026-11-28T16:00:00Z');
const types = (effects: readonly Effect[]) => effects.map(({ type }) => type);
const messages = (effects: readonly Effect[]) =>
  effects.flatMap((effect) =>
    effect.type === 'log' ? [effect.message] : effect.type === 'tell' ? [effect.event.message] : [],
  );

describe.each([2, 16])('the loop of a machine with %i nodes', (nodeCount) => {
  const slow = machineOf(nodeCount).nodes.flatMap(({ nodeId, cpus }) => (cpus.length > 0 ? [] : [nodeId]));
  const atWork = () => {
    const loop = new LoopMachine(nodeCount);
    loop.decide();
    return loop;
  };

  it('is starting until every node has been seen once', () => {
    const loop = new LoopMachine(nodeCount);
    expect(engineState(loop.state)).toBe('starting');
    const [first, ...rest] = loop.nodeIds;
    const partly = new Map([...loop.snapshots()].filter(([nodeId]) => nodeId !== first));
    const early = loop.tell(loop.looked({ watched: { nodeIds: loop.nodeIds, snapshots: partly } }));
    expect([rest.length, types(early.effects)]).toEqual([nodeCount - 1, []]);
    expect(types(loop.tell(loop.looked()).effects)).toEqual(['becomeReady', 'observe']);
    expect(types(loop.tell(loop.looked()).effects)).not.toContain('becomeReady');
  });

  it('no kdamond at all is not every node seen', () => {
    const loop = new LoopMachine(nodeCount);
    const nothing = { nodeIds: [], snapshots: new Map() };
    expect(types(loop.tell(loop.looked({ watched: nothing })).effects)).toEqual([]);
    expect(engineState(loop.state)).toBe('starting');
  });

  it('says once who has DAMON while it waits for it', () => {
    const loop = new LoopMachine(nodeCount);
    const held = { type: 'damonHeld', holder: 'another tool', message: 'in use' } as const;
    expect(messages(loop.tell(held).effects)).toEqual(['waiting for DAMON: in use']);
    expect(messages(loop.tell(held).effects)).toEqual([]);
    expect(loop.state.waitingFor).toBe('DAMON: another tool');
    loop.tell({ type: 'damonTaken' });
    expect(loop.state.waitingFor).toBeUndefined();
  });

  it('orders what waits hot on every slow node, and says so', () => {
    const loop = new LoopMachine(nodeCount);
    const decision = loop.decide();
    expect(movingNodeIds(decision)).toEqual(slow);
    expect(types(decision.effects)).toEqual(['recordHistory', ...slow.map(() => 'tell'), 'serve']);
    expect(engineState(loop.state)).toBe('moving');
    expect(loop.state.heartbeat).toMatchObject({ ticks: 1, decisions: 1, lastDecisionMs: 5 });
  });

  it('decides no second time on the same snapshots, nor on those from before a change', () => {
    const loop = atWork();
    loop.nowMs += 500;
    const look = loop.looked();
    expect(types(loop.tell(look).effects)).toEqual(['observe']);
    loop.tell(loop.observed());
    expect(types(loop.tell(look).effects)).toEqual([]);
    loop.nowMs += 500;
    const early = loop.looked();
    for (const nodeId of loop.nodeIds) loop.tell({ type: 'kdamondApplied', nodeId });
    expect(types(loop.tell(early).effects)).toEqual([]);
  });

  it('brings no kdamonds to the orders of an engine that moves by itself', () => {
    const decision = new LoopMachine(nodeCount, 'move_pages').decide();
    expect(decision.kdamonds).toBeUndefined();
    expect(types(decision.effects)).toContain('serve');
  });

  it('in a dry run orders go on, and no scheme may move anything', () => {
    const decision = new LoopMachine(nodeCount, 'damos', { ...DEFAULT_POLICY, dryRun: true }).decide();
    expect(movingNodeIds(decision)).toEqual([]);
    const actions = decision.kdamonds?.flatMap(({ schemes }) => schemes.map(({ action }) => action));
    expect(new Set(actions)).toEqual(new Set(['stat']));
    expect(decision.state.tuning?.orders.some(({ promotion }) => (promotion?.budgetBytes ?? 0) > 0)).toBe(true);
  });

  it('orders nothing out of a node that nothing is seen of, and does not wait for it', () => {
    const loop = atWork();
    const [blind = -1, ...others] = slow;
    loop.nowMs += 500;
    const snapshots = new Map([...loop.snapshots()].filter(([nodeId]) => nodeId !== blind));
    const look = loop.tell(loop.looked({ blindNodeIds: [blind], watched: { nodeIds: loop.nodeIds, snapshots } }));
    expect(look.state.tuning?.orders.map(({ nodeId }) => nodeId)).not.toContain(blind);
    expect(types(look.effects)).toEqual(['observe']);
    expect(movingNodeIds(loop.tell(loop.observed()))).toEqual(others);
  });

  it('paused: all is off, what is under way ends, looks and history go on', () => {
    const loop = atWork();
    const pause = loop.tell({ type: 'paused', since: SINCE });
    expect([pause.kdamonds?.length, movingNodeIds(pause)]).toEqual([nodeCount, []]);
    expect(types(pause.effects)).toEqual(['interrupt', 'log', 'publish']);
    const again = loop.tell({ type: 'paused', since: new Date(0) });
    expect([again.kdamonds, again.effects, again.state.pausedSince]).toEqual([undefined, [], SINCE]);
    const decision = loop.decide();
    expect([decision.kdamonds, types(decision.effects)]).toEqual([undefined, ['recordHistory']]);
    expect(decision.state.tuning?.hotBytesWaiting).toBeGreaterThan(0);
    expect(engineState(loop.state)).toBe('paused');
  });

  it('resumed: it moves again, with what it had learned forgotten', () => {
    const loop = atWork();
    expect(loop.tell({ type: 'resumed' }).effects).toEqual([]);
    loop.tell({ type: 'paused', since: SINCE });
    const { state, kdamonds, effects } = loop.tell({ type: 'resumed' });
    expect([state.tuner.nodes.size, kdamonds, types(effects)]).toEqual([0, undefined, ['log', 'publish']]);
    expect(movingNodeIds(loop.decide())).toEqual(slow);
  });

  it('a policy that differs takes all orders back; one that does not changes nothing', () => {
    const loop = atWork();
    const same = loop.tell({ type: 'policyChanged', policy: { ...DEFAULT_POLICY }, scope: EVERYBODY });
    expect([same.kdamonds, same.effects]).toEqual([undefined, []]);
    const policy = { ...DEFAULT_POLICY, fastUtilization: 0.5 };
    const change = loop.tell({ type: 'policyChanged', policy, scope: EVERYBODY });
    expect([change.kdamonds?.length, movingNodeIds(change)]).toEqual([nodeCount, []]);
    expect(types(change.effects)).toEqual(['interrupt', 'tell']);
    expect(loop.state.tuning?.orders).toEqual([]);
  });

  it('a topology that changes brings the kdamonds to it with the orders that hold', () => {
    const loop = atWork();
    const topology = machineOf(nodeCount + 2);
    const change = loop.tell({ type: 'topologyChanged', topology, description: '2 nodes came' });
    expect(change.kdamonds).toHaveLength(nodeCount + 2);
    expect(movingNodeIds(change)).toEqual(slow);
    expect(messages(change.effects)).toEqual(['memory changed: 2 nodes came']);
    expect(types(change.effects)).toEqual(['tell', 'keepOwnMemory']);
  });

  it('a scope is resolved when that is due and the policy names cgroups; without a match nothing moves', () => {
    const policy = { ...DEFAULT_POLICY, cgroups: { include: ['/gone'], exclude: [] } };
    const loop = new LoopMachine(nodeCount, 'damos', policy);
    expect(types(loop.tell(loop.looked()).effects)).toContain('resolveScope');
    expect(types(loop.tell(loop.looked({ isScopeDue: false })).effects)).not.toContain('resolveScope');
    const lost = loop.tell({ type: 'scopeChanged', scope: NOBODY });
    expect(messages(lost.effects)).toEqual([
      'cgroups in scope: 0 included, 0 excluded',
      expect.stringContaining('"/gone"'),
    ]);
    expect(loop.tell({ type: 'scopeChanged', scope: { ...NOBODY } }).effects).toEqual([]);
    expect(movingNodeIds(loop.decide())).toEqual([]);
  });

  it('a failure is said once, and the next decision that is carried out ends it', () => {
    const loop = atWork();
    const failure = { type: 'tickFailed', error: new Error('no room') } as const;
    expect(messages(loop.tell(failure).effects)).toEqual(['tick failed: no room']);
    expect(messages(loop.tell(failure).effects)).toEqual([]);
    expect([engineState(loop.state), loop.state.problem]).toEqual(['degraded', 'no room']);
    loop.decide();
    expect([engineState(loop.state), loop.state.failedTicks]).toEqual(['moving', 0]);
  });

  it('after three ticks in a row that failed nothing moves', () => {
    const loop = atWork();
    const fail = () => {
      const { effects } = loop.tell({ type: 'tickFailed', error: new Error('no room') });
      loop.tell({ type: 'ticked', hasFailed: true });
      return types(effects);
    };
    expect([fail(), fail(), fail(), fail()]).toEqual([['log'], [], ['interrupt', 'quieten'], ['quieten']]);
    expect(loop.state.tuning?.orders).toEqual([]);
    expect(messages(loop.tell({ type: 'quietenFailed', error: new Error('busy') }).effects)).toEqual([
      'tick failed: busy',
    ]);
  });

  it('nodes in trouble degrade it as long as they are', () => {
    const loop = atWork();
    loop.tell({ type: 'nodesTroubled', problem: 'node 1: off' });
    expect(engineState(loop.state)).toBe('degraded');
    loop.decide();
    expect(engineState(loop.state)).toBe('degraded');
    loop.tell({ type: 'nodesTroubled', problem: undefined });
    expect(engineState(loop.state)).toBe('moving');
  });

  it('aside: nothing is asked of kdamonds until they are taken back', () => {
    const loop = atWork();
    const aside = loop.tell(loop.looked({ aside: 'somebody switched it off' }));
    expect([aside.kdamonds, types(aside.effects)]).toEqual([undefined, ['interrupt']]);
    expect(engineState(loop.state)).toBe('aside');
    expect(loop.state).toMatchObject({ observation: undefined, tuning: { orders: [], hotBytesWaiting: 0 } });
    const policy = { ...DEFAULT_POLICY, fastUtilization: 0.9 };
    expect(loop.tell({ type: 'policyChanged', policy, scope: EVERYBODY }).kdamonds).toBeUndefined();
    const back = loop.tell({ type: 'takenBack' });
    expect([back.state.aside, back.state.tuner.nodes.size, messages(back.effects)]).toEqual([
      undefined,
      0,
      ['DAMON is taken again'],
    ]);
    expect(movingNodeIds(loop.decide())).toEqual(slow);
  });

  it('while memory is measured all is off; before the first look nothing is to be switched off', () => {
    expect(new LoopMachine(nodeCount).tell({ type: 'measuring' }).kdamonds).toBeUndefined();
    const quiet = atWork().tell({ type: 'measuring' });
    expect([quiet.kdamonds?.length, movingNodeIds(quiet)]).toEqual([nodeCount, []]);
  });

  it('stopped: a look that was under way orders nothing any more', () => {
    const loop = atWork();
    loop.tell({ type: 'stopped' });
    expect(loop.decide()).toMatchObject({ kdamonds: undefined, effects: [] });
    expect(engineState(loop.state)).toBe('stopped');
  });
});
