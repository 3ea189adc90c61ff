import { appendFileSync } from 'node:fs';
import type { TieringRuntime } from '../../../tiering/controller.ts';
import type { TieringOptions } from '../../../tiering/create-tiering.ts';
import type { RecordedEvent } from '../../../tiering/events/event.ts';
import type { Policy } from '../../../tiering/policy.ts';
import { DEFAULT_POLICY } from '../../../tiering/policy.ts';
import { firstIntervals, samplesIn } from '../../../tiering/tuner/intervals.ts';
import { FakeKernel } from '../../bench/fake-kernel.ts';
import { tieringOver } from '../../bench/simulated-engine.ts';
import { aggregationPages, recordedLayout, syntheticRegions } from '../../bench/trace-pages.ts';

export const POLICY: Policy = {
  ...DEFAULT_POLICY,
  monitoring: { ...DEFAULT_POLICY.monitoring, aggregationIntervalMs: 250 },
};
const LAYOUT = recordedLayout('7.3');

/** An engine over a kernel that is made up, with a short aggregation: tests need not wait for long. */
export function engineOver(kernel: FakeKernel, options: Partial<TieringOptions> = {}): Promise<TieringRuntime> {
  return tieringOver(kernel, { policy: POLICY, ...options });
}

/** The engine at work over a kernel that is made up, whose slow node is hot to a fifth. */
export class RunningEngine {
  readonly kernel: FakeKernel;
  readonly runtime: TieringRuntime;
  readonly #endFeeding: () => void;

  /** While false kdamonds run and nothing is traced. */
  isTracing = true;
  /** Nodes that nothing is traced of. */
  readonly hidden = new Set<number>();

  private constructor(kernel: FakeKernel, runtime: TieringRuntime, policy: Policy) {
    this.kernel = kernel;
    this.runtime = runtime;
    const feeding = setInterval(() => {
      if (!this.isTracing) return;
      const pages = Buffer.concat(tracePages(kernel, runtime, this.hidden));
      // As the kernel traces into each of its instances, read or not.
      for (const buffer of kernel.traceBuffers) appendFileSync(buffer, pages);
    }, firstIntervals(policy).aggregationIntervalMs);
    this.#endFeeding = () => clearInterval(feeding);
  }

  /** Resolves when every node has been seen once. */
  static async start(
    policy: Policy = POLICY,
    kernel = new FakeKernel(),
    options: Partial<TieringOptions> = {},
  ): Promise<RunningEngine> {
    const engine = await RunningEngine.make(policy, kernel, options);
    await engine.runtime.start();
    await engine.runtime.ready;
    return engine;
  }

  /** The same, not started. */
  static async make(policy: Policy, kernel: FakeKernel, options: Partial<TieringOptions>): Promise<RunningEngine> {
    return new RunningEngine(kernel, await engineOver(kernel, { policy, ...options }), policy);
  }

  async stop(): Promise<void> {
    this.#endFeeding();
    await this.runtime.stop();
    this.kernel.remove();
  }

  /** All that was told so far. */
  happened(): readonly RecordedEvent[] {
    const { events } = this.runtime;
    const all: RecordedEvent[] = [];
    for (let event = events.after(0); event !== undefined; event = events.after(event.sequence)) all.push(event);
    return all;
  }

  /** States as they followed each other. */
  states(): readonly string[] {
    return this.happened().flatMap((event) => (event.type === 'state' ? [event.state] : []));
  }
}

/** One aggregation of every node whose kdamond runs, a fifth of the slow one's regions hot. */
function tracePages(kernel: FakeKernel, runtime: TieringRuntime, hidden: ReadonlySet<number>): readonly Uint8Array[] {
  const nowNs = Number(process.hrtime.bigint());
  return runtime.schemes().flatMap(({ index, pid, nodeId }) => {
    const { ranges = [], cpus = [] } = runtime.topology().nodes.find((node) => node.nodeId === nodeId) ?? {};
    if (hidden.has(nodeId) || kernel.damon.pid(index) !== pid) return [];
    const whole = { start: ranges[0]?.start ?? 0, end: ranges.at(-1)?.end ?? 0 };
    const regions = syntheticRegions(whole, 100, cpus.length > 0 ? 0 : 0.2, samplesIn(firstIntervals(POLICY)));
    return aggregationPages(LAYOUT, pid, nowNs, regions);
  });
}
