import type { Topology } from '../../numa/topology.ts';
import type { TieringRuntime } from '../../tiering/controller.ts';
import type { TieringOptions } from '../../tiering/create-tiering.ts';
import { createTiering } from '../../tiering/create-tiering.ts';
import { DEFAULT_POLICY } from '../../tiering/policy.ts';
import type { TieringService } from '../../tiering/service.ts';
import { firstIntervals, samplesIn } from '../../tiering/tuner/intervals.ts';
import { FakeKernel } from './fake-kernel.ts';
import type { Feed } from './trace-feeder.ts';
import { startFeeder } from './trace-feeder.ts';
import { syntheticRegions } from './trace-pages.ts';

/** FakeDamon's first kdamond; the others follow. */
export const FIRST_PID = 100;
const SILENT = { debug: () => {}, info: () => {}, warn: () => {}, error: () => {} };

export interface SimulatedLoad {
  /** Default: 2. */
  readonly nodes?: number;
  /** Of all nodes together. */
  readonly regions: number;
  /** The share of the slow node's memory that waits to be promoted: with some of it, schemes move all that they may, for ever. */
  readonly hotShare: number;
}

/** An engine over a kernel that is made up, which has not been started: it says nothing, saves nothing and measures nothing. */
export function tieringOver(kernel: FakeKernel, options: Partial<TieringOptions> = {}): Promise<TieringRuntime> {
  return createTiering({
    sysfs: kernel,
    engine: 'damos',
    policy: DEFAULT_POLICY,
    waitForDamon: false,
    switchOffDamonStat: true,
    logger: SILENT,
    loadReceipt: async () => undefined,
    saveReceipt: async () => undefined,
    probing: {
      measure: () => Promise.reject(new Error('this kernel is made up')),
      load: async () => undefined,
      save: async () => undefined,
    },
    ownMemory: 'any',
    ...options,
  });
}

/** The real engine on this machine, at work over a kernel that is simulated in memory; ends it when the work is done. */
export async function withSimulatedHost<T>(
  load: SimulatedLoad,
  work: (engine: TieringService) => Promise<T>,
): Promise<T> {
  const kernel = new FakeKernel(load.nodes);
  const engine = await tieringOver(kernel);
  try {
    await engine.start();
    const feeder = startFeeder(feedFor(engine.topology(), kernel.tracePages, load));
    try {
      await engine.ready;
      return await work(engine);
    } finally {
      feeder.kill();
    }
  } finally {
    await engine.stop();
    kernel.remove();
  }
}

function feedFor(topology: Topology, pagesPath: string, { regions, hotShare }: SimulatedLoad): Feed {
  const perNode = Math.round(regions / topology.nodes.length);
  return {
    pagesPath,
    intervalMs: firstIntervals(DEFAULT_POLICY).aggregationIntervalMs,
    kdamonds: topology.nodes.map((node, index) => ({
      pid: FIRST_PID + index,
      regions: regionsOf(topology, index, perNode, node.cpus.length > 0 ? 0.3 : hotShare),
    })),
  };
}

/** Regions of one of the nodes, of which a share of the memory is hot. */
export function regionsOf(topology: Topology, index: number, count: number, hotShare: number) {
  const ranges = topology.nodes[index]?.ranges ?? [];
  const whole = { start: ranges[0]?.start ?? 0, end: ranges.at(-1)?.end ?? 0 };
  return syntheticRegions(whole, count, hotShare, samplesIn(firstIntervals(DEFAULT_POLICY)));
}
