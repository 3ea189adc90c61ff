import { nodesLeftAlone } from '../../numa/left-alone.ts';
import type { Topology } from '../../numa/topology.ts';
import { nodeSamples } from '../history/node-samples.ts';
import type { NodeObservation } from '../observation.ts';
import type { ResolvedScope } from '../resolved-scope.ts';
import { describeUnmatched, sameScope } from '../resolved-scope.ts';
import type { DesiredKdamond } from '../scheme.ts';
import { movesNothing } from '../scheme.ts';
import { withLevels } from '../snapshot.ts';
import type { Tuning } from '../tuner/tune.ts';
import { FRESH_TUNER, tune } from '../tuner/tune.ts';
import type { Watched } from './decision-clock.ts';
import { decided, applied as kdamondApplied, lookAtClock } from './decision-clock.ts';
import { policyChanges, tellDecisions } from './decision-log.ts';
import { desiredKdamonds, idleKdamonds, intervalsOf, planInput, regionLimitOf } from './desired-kdamonds.ts';
import type { Effect } from './effect.ts';
import type { LoopEvent } from './event.ts';
import type { LoopState } from './state.ts';
import { engineState, ordersOf, pageSightOf, problemOf } from './state.ts';

/** After so many in a row nothing moves any more. */
const FAILED_TICKS = 3;

/** What follows from an event. */
export interface Step {
  readonly state: LoopState;
  /** What kdamonds shall be from now on; undefined: as they are. */
  readonly kdamonds: readonly DesiredKdamond[] | undefined;
  readonly effects: readonly Effect[];
}

type Event<Type extends LoopEvent['type']> = Extract<LoopEvent, { readonly type: Type }>;

/** All decisions of the loop: from what it knows and what happened to what it knows then, and to what is to be done. Pure; the times are CLOCK_MONOTONIC. */
export function step(state: LoopState, event: LoopEvent, nowMs: number): Step {
  switch (event.type) {
    case 'started':
      return withState(next(state));
    case 'discovered':
      return discovered(state, event.topology, []);
    case 'damonHeld':
      return damonHeld(state, event);
    case 'damonTaken':
      return next({ ...state, waitingFor: undefined });
    case 'engineChosen':
      return next({ ...state, engine: { name: event.engine, features: event.features } });
    case 'regionsLimited':
      return regionsLimited(state, event.mostRegions);
    case 'looked':
      return looked(state, event, nowMs);
    case 'observed':
      return observed(state, event);
    case 'nodesTroubled':
      return next({ ...state, nodeProblem: event.problem });
    case 'kdamondApplied':
      return next({ ...state, clock: kdamondApplied(state.clock, event.nodeId, nowMs) });
    case 'carriedOut':
      return carriedOut(state, nowMs);
    case 'tickFailed':
      return tickFailed(state, event);
    case 'quietenFailed':
      return failed(state, event.error);
    case 'ticked':
      return ticked(state, event, nowMs);
    case 'policyChanged':
      return policyChanged(state, event);
    case 'scopeChanged':
      return takeScope(state, event.scope);
    case 'topologyChanged':
      return topologyChanged(state, event);
    case 'paused':
      return paused(state, event);
    case 'resumed':
      return resumed(state);
    case 'takenBack':
      return takenBack(state);
    case 'measuring':
      return { ...next(state), kdamonds: state.isReady ? bring(state, idleKdamonds(state)) : undefined };
    case 'stopped':
      return next({ ...state, isStopped: true });
  }
}

function next(state: LoopState, effects: readonly Effect[] = []): Step {
  return { state, kdamonds: undefined, effects };
}

/** Once a sentence: what was told of nodes that stay as they are is no news. */
function discovered(before: LoopState, topology: Topology, effects: readonly Effect[]): Step {
  const sentences = [...nodesLeftAlone(topology).map(({ message }) => message), ...(topology.warnings ?? [])];
  const news = sentences.filter((sentence) => !before.toldOfMachine.includes(sentence));
  return next({ ...before, topology, toldOfMachine: sentences }, [
    ...effects,
    ...news.map((message): Effect => ({ type: 'log', level: 'warn', message })),
    { type: 'keepOwnMemory' },
  ]);
}

function regionsLimited(before: LoopState, mostRegions: number): Step {
  const state = { ...before, mostRegions };
  const limit = regionLimitOf(state);
  const isNews = limit !== undefined && limit !== regionLimitOf(before);
  return next(state, isNews ? [{ type: 'log', level: 'warn', message: limit }] : []);
}

/** DAMON is not ours while it is left to others, and after the end. */
function bring(state: LoopState, kdamonds: readonly DesiredKdamond[]): readonly DesiredKdamond[] | undefined {
  return state.aside !== undefined || state.isStopped || state.engine === undefined ? undefined : kdamonds;
}

/** A change of state is an event, yet no line in the log: what it follows from is there. */
function withState(step: Step): Step {
  const [state, before] = [engineState(step.state), step.state.toldState];
  if (state === before) return step;
  const what = before === undefined ? state : `${before} -> ${state}`;
  const problem = problemOf(step.state);
  const message = problem === undefined ? what : `${what}: ${problem}`;
  const event = { type: 'state', state, ...(before && { before }), message } as const;
  return {
    ...step,
    state: { ...step.state, toldState: state },
    effects: [...step.effects, { type: 'publish', event }],
  };
}

function damonHeld(state: LoopState, { holder, message }: Event<'damonHeld'>): Step {
  const isKnown = state.waitingFor !== undefined;
  return next(
    { ...state, waitingFor: `DAMON: ${holder}` },
    isKnown ? [] : [{ type: 'log', level: 'warn', message: `waiting for DAMON: ${message}` }],
  );
}

/** Whether every node has been seen, the scope is to be resolved, a decision is due. */
function looked(before: LoopState, event: Event<'looked'>, nowMs: number): Step {
  const { watched, problem, aside, blindNodeIds, isScopeDue, endedAtMs } = event;
  if (aside !== undefined) return leftDamon({ ...before, aside }, endedAtMs);
  let state = withoutOrders({ ...before, aside, blindNodeIds }, (nodeId) => blindNodeIds.includes(nodeId));
  if (problem !== undefined) {
    state = { ...state, problem, heartbeat: { ...state.heartbeat, lastDecisionAtMs: endedAtMs } };
  }
  const effects: Effect[] = [];
  const { nodeIds, snapshots } = watched;
  if (!state.isReady && nodeIds.length > 0 && nodeIds.every((nodeId) => snapshots.has(nodeId))) {
    state = { ...state, isReady: true };
    effects.push({ type: 'becomeReady' });
  }
  const { cgroups } = state.policy;
  if (cgroups.include.length + cgroups.exclude.length > 0 && isScopeDue)
    effects.push({ type: 'resolveScope', cgroups });
  if (state.engine === undefined || state.isStopped) return next(state, effects);
  const look = lookAtClock(state.clock, inSight(state, watched), intervalsOf(state).aggregationIntervalMs, nowMs);
  if (look.isDue) effects.push({ type: 'observe' });
  return next({ ...state, clock: look.clock }, effects);
}

/** What the clock goes by: nodes that nothing is seen of are not waited for. */
export function inSight({ blindNodeIds }: LoopState, { nodeIds, snapshots }: Watched): Watched {
  return { nodeIds: nodeIds.filter((nodeId) => !blindNodeIds.includes(nodeId)), snapshots };
}

function withoutOrders(state: LoopState, isOut: (nodeId: number) => boolean): LoopState {
  const { tuning } = state;
  return { ...state, tuning: tuning && { ...tuning, orders: tuning.orders.filter(({ nodeId }) => !isOut(nodeId)) } };
}

const noOrders = (state: LoopState): LoopState => withoutOrders(state, () => true);

function leftDamon(before: LoopState, endedAtMs: number): Step {
  const { tuning, heartbeat } = noOrders(before);
  return next(
    {
      ...before,
      problem: undefined,
      observation: undefined,
      decidingSinceMs: undefined,
      heartbeat: { ...heartbeat, lastDecisionAtMs: endedAtMs },
      tuning: tuning && { ...tuning, hotBytesWaiting: 0 },
    },
    ordersOf(before).length > 0 ? [{ type: 'interrupt' }] : [],
  );
}

/** The decision. While paused it is thought through, for the status and the history, and nothing is learned or ordered. */
function observed(state: LoopState, { observation, snapshots, sinceMs }: Event<'observed'>): Step {
  const { topology, policy, scope, engine, pausedSince, blindNodeIds } = state;
  if (engine === undefined || state.aside !== undefined || state.isStopped) return next(state);
  const { state: tuner, ...tuning } = tune(state.tuner, observation, topology, policy, pageSightOf(engine));
  const mayMove = pausedSince === undefined && !movesNothing(scope);
  const orders = mayMove ? tuning.orders.filter(({ nodeId }) => !blindNodeIds.includes(nodeId)) : [];
  const shown = { ...observation, nodes: observation.nodes.map((node) => withLevelsOf(node, tuning.levels)) };
  const seen = { ...state, observation: shown, clock: decided(state.clock, snapshots) };
  const history: Effect = { type: 'recordHistory', samples: nodeSamples(shown, orders, policy) };
  if (pausedSince !== undefined) {
    const pingPongBytes = state.tuning?.pingPongBytes ?? 0;
    return next({ ...seen, tuning: { ...tuning, orders, pingPongBytes }, problem: undefined }, [history]);
  }
  const { modes, effects } = tellDecisions(state.modes, orders);
  const after: LoopState = {
    ...seen,
    tuner: movesNothing(scope) ? FRESH_TUNER : tuner,
    tuning: { ...tuning, orders },
    modes,
    decidingSinceMs: sinceMs,
  };
  const hasNewIntervals = intervalsOf(state).samplingIntervalMs !== intervalsOf(after).samplingIntervalMs;
  return {
    state: after,
    // Kdamonds that only watch do not depend on orders.
    kdamonds: engine.name === 'damos' || hasNewIntervals ? bring(after, desiredKdamonds(after, orders)) : undefined,
    effects: [
      history,
      ...effects,
      ...(hasNewIntervals ? [tellIntervals(state, after)] : []),
      { type: 'serve', input: planInput(after, engine.features, orders) },
    ],
  };
}

function withLevelsOf(node: NodeObservation, levels: Tuning['levels']): NodeObservation {
  return node.snapshot === undefined ? node : { ...node, snapshot: withLevels(node.snapshot, levels.get(node.nodeId)) };
}

/** Each change is news: what DAMON sees depends on it. */
function tellIntervals(before: LoopState, after: LoopState): Effect {
  const [was, now] = [intervalsOf(before), intervalsOf(after)];
  const message = `sampling every ${now.samplingIntervalMs} ms instead of ${was.samplingIntervalMs}, to tell hot from less hot memory`;
  return { type: 'log', level: 'info', message };
}

function carriedOut(state: LoopState, nowMs: number): Step {
  const { decidingSinceMs } = state;
  const heartbeat = { ...state.heartbeat, lastDecisionAtMs: nowMs };
  if (decidingSinceMs === undefined) return next({ ...state, heartbeat });
  return next({
    ...state,
    problem: undefined,
    decidingSinceMs: undefined,
    heartbeat: { ...heartbeat, decisions: heartbeat.decisions + 1, lastDecisionMs: nowMs - decidingSinceMs },
  });
}

/** Said once for each problem. */
function failed(state: LoopState, error: unknown): Step {
  const problem = error instanceof Error ? error.message : String(error);
  return next(
    { ...state, problem, decidingSinceMs: undefined },
    problem === state.problem ? [] : [{ type: 'log', level: 'error', message: `tick failed: ${problem}`, error }],
  );
}

/** Orders hold until the next ones: when those do not come, they are taken back. */
function tickFailed(before: LoopState, { error }: Event<'tickFailed'>): Step {
  const { state, effects } = failed({ ...before, failedTicks: before.failedTicks + 1 }, error);
  if (state.failedTicks < FAILED_TICKS) return next(state, effects);
  const interrupt: readonly Effect[] = ordersOf(state).length > 0 ? [{ type: 'interrupt' }] : [];
  return next(noOrders(state), [...effects, ...interrupt, { type: 'quieten' }]);
}

function ticked(state: LoopState, { hasFailed }: Event<'ticked'>, nowMs: number): Step {
  const { heartbeat } = state;
  return withState(
    next({
      ...state,
      failedTicks: hasFailed ? state.failedTicks : 0,
      heartbeat: { ...heartbeat, ticks: heartbeat.ticks + 1, lastTickAtMs: nowMs },
    }),
  );
}

/** Orders were made for the old policy: off until the next decision. */
function policyChanged(before: LoopState, { policy, scope }: Event<'policyChanged'>): Step {
  const changes = policyChanges(before.policy, policy);
  if (changes.length === 0) return next(before);
  const scoped = takeScope(before, scope);
  const state = noOrders({ ...scoped.state, policy });
  const keys = changes.map((change) => change.slice(0, change.indexOf(':')));
  const message = `policy changed: ${changes.join(', ')}`;
  return {
    state,
    kdamonds: bring(state, idleKdamonds(state)),
    effects: [...scoped.effects, { type: 'interrupt' }, { type: 'tell', event: { type: 'policy', keys, message } }],
  };
}

function takeScope(before: LoopState, scope: ResolvedScope): Step {
  if (sameScope(scope, before.scope)) return next(before);
  const included = scope.include === 'all' ? 'all' : scope.include.length;
  const message = `cgroups in scope: ${included} included, ${scope.exclude.length} excluded`;
  const problem = describeUnmatched(scope);
  const isNews = problem !== undefined && problem !== describeUnmatched(before.scope);
  return next({ ...before, scope }, [
    { type: 'log', level: 'info', message },
    ...(isNews ? [{ type: 'log', level: 'warn', message: problem } as const] : []),
  ]);
}

function topologyChanged(before: LoopState, { topology, description }: Event<'topologyChanged'>): Step {
  const nodeIds = topology.nodes.map((node) => node.nodeId);
  const event = { type: 'topology', nodeIds, message: `memory changed: ${description}` } as const;
  const { state, effects } = discovered(before, topology, [{ type: 'tell', event }]);
  return { state, kdamonds: bring(state, desiredKdamonds(state, ordersOf(state))), effects };
}

function paused(before: LoopState, { since }: Event<'paused'>): Step {
  if (before.pausedSince !== undefined) return next(before);
  const state = noOrders({ ...before, pausedSince: since });
  const message = 'paused: nothing is promoted or demoted';
  const effects: readonly Effect[] = [{ type: 'interrupt' }, { type: 'log', level: 'info', message }];
  return withState({ state, kdamonds: bring(state, idleKdamonds(state)), effects });
}

/** What it learned was of another time. */
function resumed(state: LoopState): Step {
  if (state.pausedSince === undefined) return next(state);
  const effects: readonly Effect[] = [{ type: 'log', level: 'info', message: 'resumed' }];
  return withState(next({ ...state, pausedSince: undefined, tuner: FRESH_TUNER }, effects));
}

function takenBack(state: LoopState): Step {
  const effects: readonly Effect[] = [{ type: 'log', level: 'info', message: 'DAMON is taken again' }];
  return withState(next({ ...state, aside: undefined, tuner: FRESH_TUNER }, effects));
}
