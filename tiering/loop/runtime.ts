import { setTimeout as sleep } from 'node:timers/promises';
import type { Topology } from '../../numa/topology.ts';
import type { ScopeResolver } from '../cgroup-scope.ts';
import type { DamonDriver } from '../damon/driver.ts';
import type { Engine } from '../engine.ts';
import type { EventLog } from '../events/event-log.ts';
import type { Flow } from '../flow-ledger.ts';
import type { History } from '../history/history.ts';
import type { KdamondFleet } from '../kdamond-fleet.ts';
import type { Logger } from '../logger.ts';
import type { Observer } from '../observer.ts';
import type { DamonFeatures } from '../scheme.ts';
import { Serial } from '../serial.ts';
import type { NodeSnapshot } from '../snapshot.ts';
import { withLevels } from '../snapshot.ts';
import type { Watched } from './decision-clock.ts';
import { untilNextLookMs } from './decision-clock.ts';
import { desiredKdamonds, idleKdamonds, intervalsOf } from './desired-kdamonds.ts';
import type { Effect } from './effect.ts';
import type { LoopEvent } from './event.ts';
import type { LoopState } from './state.ts';
import { ordersOf } from './state.ts';
import type { Step } from './step.ts';
import { inSight, step } from './step.ts';

export interface LoopParts {
  readonly driver: Pick<DamonDriver, 'kdamonds'>;
  readonly observer: Pick<Observer, 'snapshots' | 'observe'>;
  readonly fleet: Pick<
    KdamondFleet,
    'aside' | 'problem' | 'drain' | 'keepAlive' | 'blindNodes' | 'bring' | 'change' | 'quieten'
  >;
  readonly events: Pick<EventLog, 'publish'>;
  readonly history: Pick<History, 'record'>;
  readonly logger: Logger;
  readonly scopes: Pick<ScopeResolver, 'isDue' | 'resolve'>;
  readonly keepOwnMemory: (topology: Topology) => Promise<void>;
  /** CLOCK_MONOTONIC. */
  readonly nowMs: () => number;
}

/** Carries out what step() decides: waits, looks, observes, brings kdamonds, performs effects. Decides nothing itself. */
export class LoopRuntime {
  readonly #parts: LoopParts;
  readonly #between = new Serial();
  readonly ready: Promise<void>;
  #becomeReady: () => void = () => undefined;
  #state: LoopState;
  #engine: Engine | undefined;
  /** Of the sleep before the next tick. */
  #sleeping = new AbortController();

  constructor(state: LoopState, parts: LoopParts) {
    this.#state = state;
    this.#parts = parts;
    this.ready = new Promise((resolve) => {
      this.#becomeReady = resolve;
    });
  }

  get state(): LoopState {
    this.#noteTroubles();
    return this.#state;
  }

  /** From when it is chosen. */
  get engine(): Engine | undefined {
    return this.#engine;
  }

  /** The newest of each node, ascending, with what counts as hot and cold by the last decision. */
  snapshots(): readonly NodeSnapshot[] {
    const { tuning } = this.#state;
    return [...this.#parts.observer.snapshots.values()]
      .map((snapshot) => withLevels(snapshot, tuning?.levels.get(snapshot.nodeId)))
      .sort((a, b) => a.nodeId - b.nodeId);
  }

  /** What the operator asks for is done between two ticks. */
  between<Result>(work: () => Promise<Result>): Promise<Result> {
    return this.#between.run(work);
  }

  async useEngine(engine: Engine, features: DamonFeatures): Promise<void> {
    this.#engine = engine;
    await this.dispatch({ type: 'engineChosen', engine: engine.name, features });
  }

  /** Takes an event in, then does what follows. Throws what that throws; the event stays taken in. */
  async dispatch(event: LoopEvent, nowMs = this.#parts.nowMs()): Promise<void> {
    const { kdamonds, effects } = this.#take(event, nowMs);
    const { pausedSince } = this.#state;
    for (const effect of effects) await this.#perform(effect, nowMs);
    const { isStopped, pausedSince: pausedNow } = this.#state;
    // A pause that came meanwhile brings its own; after the end nothing is brought.
    if (kdamonds !== undefined && !isStopped && (pausedSince !== undefined || pausedNow === undefined))
      await this.#parts.fleet.bring(kdamonds);
  }

  /** Takes a pause in at once, whatever is under way; resolves when kdamonds have been told. */
  async pause(since: Date): Promise<void> {
    const nowMs = this.#parts.nowMs();
    const { effects } = this.#take({ type: 'paused', since }, nowMs);
    for (const effect of effects) await this.#perform(effect, nowMs);
    await this.between(async () => {
      const { aside, isStopped, engine, pausedSince } = this.#state;
      const isOurs = aside === undefined && !isStopped && engine !== undefined;
      if (isOurs && pausedSince !== undefined) await this.#parts.fleet.bring(idleKdamonds(this.#state));
    });
  }

  /** Takes an event in once the kernel has taken what follows from it; when that fails it throws and nothing has changed. */
  async change(event: Extract<LoopEvent, { readonly type: 'policyChanged' | 'resumed' }>): Promise<void> {
    const { nowMs, fleet } = this.#parts;
    const { aggregationIntervalMs } = intervalsOf(this.#state);
    const { kdamonds } = step(this.#state, event, nowMs());
    if (kdamonds !== undefined) await fleet.change(kdamonds);
    // Kdamonds that took the change have moved the state on meanwhile.
    const { effects } = this.#take(event, nowMs());
    // It may sleep for as long as the interval was before: up to 100 s.
    if (intervalsOf(this.#state).aggregationIntervalMs < aggregationIntervalMs) this.#sleeping.abort();
    for (const effect of effects) await this.#perform(effect, nowMs());
  }

  /** Notes what asks for nothing. */
  note(event: Extract<LoopEvent, { readonly type: 'kdamondApplied' | 'stopped' }>): void {
    this.#take(event, this.#parts.nowMs());
  }

  /** Until the signal. Never throws: what fails in a tick is an event. */
  async run(signal: AbortSignal): Promise<void> {
    signal.addEventListener('abort', () => this.#sleeping.abort(), { once: true });
    while (!signal.aborted) {
      const { aggregationIntervalMs } = intervalsOf(this.#state);
      const pauseMs = untilNextLookMs(
        inSight(this.#state, this.#watched()),
        aggregationIntervalMs,
        this.#parts.nowMs(),
      );
      this.#sleeping = new AbortController();
      await sleep(pauseMs, undefined, { signal: this.#sleeping.signal }).catch(() => undefined);
      if (signal.aborted) return;
      const hasFailed = await this.#between.run(() => this.#tickFails());
      await this.dispatch({ type: 'ticked', hasFailed });
    }
  }

  /** Whether it did. */
  async #tickFails(): Promise<boolean> {
    try {
      await this.#tick();
      return false;
    } catch (error) {
      // What was under way at the end is broken off.
      if (this.#state.isStopped) return false;
      await this.dispatch({ type: 'tickFailed', error });
      return true;
    }
  }

  async #tick(): Promise<void> {
    const { fleet, scopes, nowMs } = this.#parts;
    await fleet.drain();
    const atMs = nowMs();
    const { onSwitchOff } = this.#state.policy;
    const problem = await fleet.keepAlive(() => desiredKdamonds(this.#state, ordersOf(this.#state)), onSwitchOff, atMs);
    const { aside } = fleet;
    const blindNodeIds = aside === undefined ? await fleet.blindNodes() : [];
    const found = { problem, aside, blindNodeIds, isScopeDue: scopes.isDue, endedAtMs: nowMs() };
    await this.dispatch({ type: 'looked', watched: this.#watched(), ...found }, atMs);
  }

  async #observe(nowMs: number): Promise<void> {
    const { observer } = this.#parts;
    const flows = (await this.#engine?.settle(nowMs)) ?? new Map<number, Flow>();
    const sinceMs = this.#parts.nowMs();
    const nodeIds = this.#state.topology.nodes.map((node) => node.nodeId);
    // An engine that moves in the background may have looked on meanwhile.
    const takenAtMs = [...observer.snapshots.values()].map((snapshot) => snapshot.takenAtMs);
    const observedMs = Math.max(nowMs, ...takenAtMs);
    const observation = await observer.observe(nodeIds, flows, observedMs, this.#state.blindNodeIds);
    await this.dispatch({ type: 'observed', observation, snapshots: observer.snapshots, sinceMs }, nowMs);
    await this.dispatch({ type: 'carriedOut' });
  }

  #take(event: LoopEvent, nowMs: number): Step {
    this.#noteTroubles();
    const taken = step(this.#state, event, nowMs);
    this.#state = taken.state;
    return taken;
  }

  /** The fleet meets them whenever it does something. */
  #noteTroubles(): void {
    const { fleet, nowMs } = this.#parts;
    const { problem } = fleet;
    if (problem === this.#state.nodeProblem) return;
    this.#state = step(this.#state, { type: 'nodesTroubled', problem }, nowMs()).state;
  }

  async #perform(effect: Effect, nowMs: number): Promise<void> {
    const { events, fleet, history, logger, observer, scopes, keepOwnMemory } = this.#parts;
    switch (effect.type) {
      case 'log':
        logger[effect.level](effect.error === undefined ? {} : { err: effect.error }, effect.message);
        return;
      case 'tell':
        logger.info({}, effect.event.message);
        events.publish(effect.event);
        return;
      case 'publish':
        events.publish(effect.event);
        return;
      case 'recordHistory':
        history.record(nowMs, effect.samples);
        return;
      case 'becomeReady':
        this.#becomeReady();
        return;
      case 'resolveScope':
        return this.dispatch({ type: 'scopeChanged', scope: await scopes.resolve(effect.cgroups) });
      case 'observe':
        return this.#observe(nowMs);
      case 'serve':
        return this.#engine?.serve(effect.input, observer.snapshots);
      case 'interrupt':
        this.#engine?.policyChanged();
        return;
      case 'quieten':
        return fleet.quieten().catch((error: unknown) => this.dispatch({ type: 'quietenFailed', error }));
      case 'keepOwnMemory':
        return keepOwnMemory(this.#state.topology);
    }
  }

  /** What the clock goes by. */
  #watched(): Watched {
    const { driver, observer } = this.#parts;
    return { nodeIds: driver.kdamonds.map(({ desired }) => desired.nodeId), snapshots: observer.snapshots };
  }
}
