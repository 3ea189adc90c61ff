import { setTimeout as sleep } from 'node:timers/promises';
import { Controller } from '../../../tiering/controller.ts';
import type { LeftOn } from '../../../tiering/damon/driver.ts';
import { inTime } from '../../../tiering/in-time.ts';
import type { Policy } from '../../../tiering/policy.ts';
import { DEFAULT_POLICY } from '../../../tiering/policy.ts';
import { FakeKernel } from '../../bench/fake-kernel.ts';
import { RunningEngine } from './running-engine.ts';

export const FAULTS = ['EIO', 'ENOMEM', 'EINVAL', 'EBUSY', 'ENOSPC', 'hangs'] as const;
export type FaultKind = (typeof FAULTS)[number];

/** The call, from the first one on, that goes wrong once. */
export interface Fault {
  readonly call: number;
  readonly kind: FaultKind;
}

const AGGREGATION_MS = 100;
const POLICY: Policy = {
  ...DEFAULT_POLICY,
  monitoring: {
    ...DEFAULT_POLICY.monitoring,
    samplingIntervalMs: 20,
    aggregationIntervalMs: AGGREGATION_MS,
    maxRegions: 2_000,
  },
};
const PATIENCE = { answerMs: 100, silenceMs: 500, stopBudgetMs: 3_000 };
const FILE_LIMIT_MS = 300;
/** Ten aggregations, what the patience adds, and what a busy machine does. */
const SOON_MS = 10 * AGGREGATION_MS + 15_000;
const KDAMONDS = '/sys/kernel/mm/damon/admin/kdamonds/';

/** What a run has shown. */
interface Outcome {
  /** How many calls there were. */
  readonly calls: number;
  /** How many of these by the time that tierd had started. */
  readonly callsOfStart: number;
  /** The one that went wrong. */
  readonly hit: string | undefined;
  /** What is not as it must be. */
  readonly wrong: readonly string[];
}

/** Counts the calls of the engine, and has one go wrong. */
class FaultyCalls {
  calls = 0;
  hit: string | undefined;
  readonly #fault: Fault | undefined;
  #release: () => void = () => undefined;

  constructor(fault: Fault | undefined) {
    this.#fault = fault;
  }

  get isHanging(): boolean {
    return this.hit !== undefined && this.#fault?.kind === 'hangs';
  }

  meet(what: string): string | Promise<void> | undefined {
    this.calls += 1;
    if (this.#fault === undefined || this.calls !== this.#fault.call) return undefined;
    this.hit = what;
    if (this.#fault.kind !== 'hangs') return this.#fault.kind;
    return new Promise((resolve) => {
      this.#release = resolve;
    });
  }

  release(): void {
    this.#release();
  }
}

/** Start, decisions, another policy, memory that goes, a pause, resume, the end; after each, what must hold is looked at. */
export async function runScript(fault: Fault | undefined): Promise<Outcome> {
  const kernel = new FakeKernel();
  const found = kernel.damon.tree();
  const calls = new FaultyCalls(fault);
  kernel.fault = (path, value) => calls.meet(value === undefined ? `read ${path}` : `write "${value}" to ${path}`);
  const engine = await RunningEngine.make(POLICY, kernel, {
    patience: PATIENCE,
    fileLimitMs: FILE_LIMIT_MS,
    saveReceipt: async () => {
      const errno = await calls.meet('save the receipt');
      if (typeof errno === 'string') throw Object.assign(new Error(errno), { code: 'TIERD_STATE_DIRECTORY' });
    },
  });
  const script = new Script(engine, calls);
  try {
    await script.run(found);
  } finally {
    calls.release();
    await engine.stop();
  }
  return { calls: calls.calls, callsOfStart: script.callsOfStart, hit: calls.hit, wrong: script.wrong };
}

class Script {
  readonly wrong: string[] = [];
  callsOfStart = 0;
  readonly #engine: RunningEngine;
  readonly #calls: FaultyCalls;

  constructor(engine: RunningEngine, calls: FaultyCalls) {
    this.#engine = engine;
    this.#calls = calls;
  }

  async run(found: Readonly<Record<string, string>>): Promise<void> {
    const { runtime } = this.#engine;
    const isStarted = await this.#ends('start', runtime.start());
    this.callsOfStart = this.#calls.calls;
    if (isStarted) await this.#steps();
    await this.#end(found);
  }

  async #steps(): Promise<void> {
    const { runtime } = this.#engine;
    await this.#goesOn('after the start');
    const policy = { ...POLICY, monitoring: { ...POLICY.monitoring, maxRegions: 3_000 } };
    const isTaken = await this.#ends('the change of policy', runtime.setPolicy(policy));
    const wanted = isTaken ? policy : POLICY;
    if (JSON.stringify(runtime.policy()) !== JSON.stringify(wanted))
      this.wrong.push('the policy is neither old nor new');
    await this.#goesOn('after the change of policy');
    await this.#ends('the hot-plug', this.#unplug());
    await this.#goesOn('after the hot-plug');
    await this.#ends('the pause', runtime.pause(new Date()));
    if (runtime.pausedSince() === undefined) this.wrong.push('the pause is lost');
    if (!(await soon(() => this.#movesNothing()))) this.wrong.push('memory moves in a pause');
    await this.#ends('the resume', runtime.resume());
    await this.#goesOn('after the resume');
  }

  /** A quarter of the slow node's memory goes. */
  async #unplug(): Promise<void> {
    const { runtime } = this.#engine;
    if (!(runtime instanceof Controller)) throw new Error('the engine has another controller');
    const before = runtime.topology();
    const nodes = before.nodes.map((node) => {
      const [first, ...others] = node.ranges;
      if (node.cpus.length > 0 || first === undefined) return node;
      const end = first.start + Math.floor((first.end - first.start) / 4 / 2 ** 21) * 3 * 2 ** 21;
      return { ...node, ranges: [{ start: first.start, end }, ...others] };
    });
    await runtime.topologyChanged({ ...before, nodes }, 'memory went');
  }

  /** Whether it was done; what it is refused with must have a code, and it must be answered. */
  async #ends(what: string, work: Promise<unknown>): Promise<boolean> {
    try {
      const isDone = await inTime(
        work.then(() => true),
        SOON_MS,
      );
      if (isDone !== true) this.wrong.push(`${what} never ends`);
      return isDone === true;
    } catch (error) {
      const code = error instanceof Error && 'code' in error ? String(error.code) : '';
      if (!code.startsWith('TIERD_')) this.wrong.push(`${what} is refused with ${String(error)}`);
      return false;
    }
  }

  /** Decisions go on, or the state is degraded and nothing moves. */
  async #goesOn(when: string): Promise<void> {
    const { runtime } = this.#engine;
    const before = runtime.heartbeat().decisions;
    const goesOn = () => runtime.heartbeat().decisions >= before + 2;
    const isSafe = () => runtime.status().state === 'degraded' && this.#movesNothing();
    if (await soon(() => goesOn() || isSafe())) return;
    const { state, problem } = runtime.status();
    this.wrong.push(`no decisions ${when}, though the state is ${state} (${problem}) and memory may move`);
  }

  /** Of kdamonds that answer. */
  #movesNothing(): boolean {
    const { kernel } = this.#engine;
    return [0, 1].every((index) => {
      const silent = this.#calls.isHanging && this.#calls.hit?.includes(`${KDAMONDS}${index}/`) === true;
      const isOn = kernel.damon.value(`${index}/state`) === 'on';
      const bytes = kernel.damon.value(`${index}/contexts/0/schemes/0/quotas/bytes`);
      return silent || !isOn || bytes === undefined || bytes === '1';
    });
  }

  async #end(found: Readonly<Record<string, string>>): Promise<void> {
    const { kernel, runtime } = this.#engine;
    const hitBefore = this.#calls.hit;
    const startedAtMs = performance.now();
    const leftOn: readonly LeftOn[] = await runtime.stop();
    const tookMs = performance.now() - startedAtMs;
    if (tookMs > PATIENCE.stopBudgetMs + 2_000) this.wrong.push(`the end took ${Math.round(tookMs)} ms`);
    const tree = kernel.damon.tree();
    const on = Object.entries(tree).flatMap(([path, value]) =>
      path.endsWith('/state') && value === 'on' ? [path] : [],
    );
    const told = leftOn.map(({ index }) => `${index}/state`);
    if (on.some((path) => !told.includes(path))) this.wrong.push(`left on and not told: ${on.join()}`);
    if (leftOn.length > 0 && !this.#calls.isHanging && this.#calls.hit === hitBefore)
      this.wrong.push(`left on though it answers: ${JSON.stringify(leftOn)}`);
    if (leftOn.length > 1) this.wrong.push(`one that hangs kept others on: ${JSON.stringify(leftOn)}`);
    const isClean = hitBefore === this.#calls.hit && !this.#calls.isHanging;
    if (isClean && JSON.stringify(tree) !== JSON.stringify(found)) this.wrong.push('DAMON is not as it was found');
  }
}

/** Whether a condition holds before long. */
async function soon(condition: () => boolean): Promise<boolean> {
  const startedAtMs = performance.now();
  while (!condition()) {
    if (performance.now() - startedAtMs > SOON_MS) return false;
    await sleep(20);
  }
  return true;
}
