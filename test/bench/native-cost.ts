import { spawn } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { discoverTopology } from '../../numa/discover.ts';
import { readHighWatermarks, readNodeMemory } from '../../numa/node-memory.ts';
import type { Topology } from '../../numa/topology.ts';
import { AccessTrace } from '../../tiering/damon/access-trace.ts';
import type { CompletedAggregation } from '../../tiering/damon/aggregation-assembler.ts';
import { AggregationAssembler } from '../../tiering/damon/aggregation-assembler.ts';
import { readRingPage } from '../../tiering/damon/ring-page.ts';
import { kdamondWrites, pendingWrites } from '../../tiering/damon/tree.ts';
import { NO_FLOW } from '../../tiering/flow-ledger.ts';
import { nodeStatuses } from '../../tiering/loop/status-view.ts';
import type { Observation } from '../../tiering/observation.ts';
import type { PlanInput } from '../../tiering/plan.ts';
import { plan } from '../../tiering/plan.ts';
import type { Policy } from '../../tiering/policy.ts';
import { DEFAULT_POLICY } from '../../tiering/policy.ts';
import { firstIntervals, samplesIn } from '../../tiering/tuner/intervals.ts';
import { FRESH_TUNER, tune } from '../../tiering/tuner/tune.ts';
import type { Progress } from '../guest/progress.ts';
import { ALL_FEATURES } from '../unit/tiering/machines.ts';
import { FakeKernel } from './fake-kernel.ts';
import { middleOf } from './middle.ts';
import { cpuTimeOf } from './proc-text.ts';
import type { NativeCostResult } from './results.ts';
import { endWithUs } from './scratch.ts';
import { FIRST_PID, regionsOf, withSimulatedHost } from './simulated-engine.ts';
import { startFeeder } from './trace-feeder.ts';
import { aggregationPages, recordedLayout, syntheticRegions } from './trace-pages.ts';

export const IDLE_NODE = 'setInterval(() => {}, 1000)';

const REGIONS_A_NODE = 4000;
const MANY_NODES = 16;
/** Of two nodes. */
const REGIONS = 2 * REGIONS_A_NODE;
const SECONDS = 15;
const WARM_UP_SECONDS = 5;
const ROUNDS = 400;

/** What the daemon's own code costs on this machine at two decisions a second over 2 x 4,000 regions. */
export async function measureNativeCost(progress: Progress): Promise<NativeCostResult> {
  progress(`native: the engine over a simulated kernel, ${REGIONS} regions, ${3 * (SECONDS + WARM_UP_SECONDS)} s`);
  const idle = endWithUs(spawn(process.execPath, ['-e', IDLE_NODE], { stdio: 'ignore' }));
  try {
    const settledCpu = await engineCpu(2, 0);
    const idleBefore = cpuOf(idle.pid);
    const idleSince = performance.now();
    const movingCpu = await engineCpu(2, 0.2);
    const idleNodeCpu = ((cpuOf(idle.pid) - idleBefore) * 1000) / (performance.now() - idleSince);
    const manyNodesCpu = await engineCpu(MANY_NODES, 0.2);
    return {
      regions: REGIONS,
      aggregationIntervalMs: firstIntervals(DEFAULT_POLICY).aggregationIntervalMs,
      seconds: SECONDS,
      nodeVersion: process.version,
      settledCpu,
      movingCpu,
      manyNodesCpu,
      idleNodeCpu,
      traceCpu: await traceCpu(progress),
      stepsMs: await stepsMs(),
    };
  } finally {
    idle.kill('SIGKILL');
  }
}

function cpuOf(pid: number | undefined): number {
  const { user, system } = cpuTimeOf(readFileSync(`/proc/${pid}/stat`, 'utf8'));
  return user + system;
}

/** The share of a core that the real engine takes; `hotShare` of the slow nodes' memory waits to be promoted. */
function engineCpu(nodes: number, hotShare: number): Promise<number> {
  return withSimulatedHost({ nodes, regions: nodes * REGIONS_A_NODE, hotShare }, async (engine) => {
    await sleep(WARM_UP_SECONDS * 1000);
    const before = process.cpuUsage();
    const since = performance.now();
    await sleep(SECONDS * 1000);
    const { user, system } = process.cpuUsage(before);
    const { state, problem } = engine.status();
    const expected = hotShare > 0 ? 'moving' : 'settled';
    if (state !== expected) throw new Error(`the engine is ${state}, not ${expected}: ${problem ?? ''}`);
    return (user + system) / 1000 / (performance.now() - since);
  });
}

/** The share of a core that reading the trace takes, twice a second, by how much there is to read. */
async function traceCpu(progress: Progress): Promise<Readonly<Record<string, number>>> {
  const shares: [string, number][] = [];
  for (const kdamonds of [2, MANY_NODES]) {
    const size = `${kdamonds} x ${REGIONS_A_NODE}`;
    progress(`native: the trace of ${size} regions, ${SECONDS + WARM_UP_SECONDS} s`);
    shares.push([size, await traceCpuOf(kdamonds, REGIONS_A_NODE)]);
  }
  return Object.fromEntries(shares);
}

async function traceCpuOf(kdamonds: number, regions: number): Promise<number> {
  const kernel = new FakeKernel();
  const pids = Array.from({ length: kdamonds }, (_, index) => FIRST_PID + index);
  const trace = new AccessTrace({ sysfs: kernel, maxRegions: regions, kdamonds });
  const { aggregationIntervalMs: intervalMs } = firstIntervals(DEFAULT_POLICY);
  try {
    await trace.start(pids);
    const feeder = startFeeder({
      pagesPath: kernel.tracePages,
      intervalMs,
      kdamonds: pids.map((pid) => ({
        pid,
        regions: syntheticRegions({ start: pid * 2 ** 36, end: (pid + 1) * 2 ** 36 }, regions, 0.2, 10),
      })),
    });
    try {
      let aggregations = 0;
      const drainFor = async (seconds: number) => {
        for (const until = performance.now() + seconds * 1000; performance.now() < until; await sleep(intervalMs)) {
          aggregations += (await trace.drain()).length;
        }
      };
      await drainFor(WARM_UP_SECONDS);
      aggregations = 0;
      const before = process.cpuUsage();
      const since = performance.now();
      await drainFor(SECONDS);
      const { user, system } = process.cpuUsage(before);
      const elapsedMs = performance.now() - since;
      if (aggregations < (0.8 * kdamonds * elapsedMs) / intervalMs) {
        throw new Error(`only ${aggregations} aggregations of ${kdamonds} kdamonds were read in ${elapsedMs} ms`);
      }
      return (user + system) / 1000 / elapsedMs;
    } finally {
      feeder.kill();
    }
  } finally {
    await trace.stop();
    kernel.remove();
  }
}

/** Milliseconds that the parts of one decision take, by part: medians over many. */
async function stepsMs(): Promise<Readonly<Record<string, number>>> {
  const kernel = new FakeKernel();
  try {
    const topology = await discoverTopology(kernel);
    const nodeIds = topology.nodes.map(({ nodeId }) => nodeId);
    const read = traceReader(topology, REGIONS / nodeIds.length);
    const observation = observationOf(topology, read());
    const tuned = tune(FRESH_TUNER, observation, topology, DEFAULT_POLICY);
    const planning: Omit<PlanInput, 'orders'> = {
      topology,
      policy: DEFAULT_POLICY,
      features: ALL_FEATURES,
      scope: { include: 'all', exclude: [] },
    };
    const written = plan({ ...planning, orders: [] }).map(
      (kdamond, index) => new Map(kdamondWrites(index, kdamond, ALL_FEATURES).map(({ path, value }) => [path, value])),
    );
    return {
      'read the trace': median(read),
      'tune()': median(() => tune(tuned.state, observation, topology, DEFAULT_POLICY)),
      'plan() and what to write': median(() =>
        plan({ ...planning, orders: tuned.orders }).map((kdamond, index) =>
          pendingWrites(written[index] ?? new Map(), kdamondWrites(index, kdamond, ALL_FEATURES)),
        ),
      ),
      'status of the nodes': median(() => nodeStatuses(topology, DEFAULT_POLICY, observation, tuned.orders)),
      'read node memory': await medianAsync(() => readNodeMemory(kernel, nodeIds)),
      'read watermarks (every 10 s)': await medianAsync(() => readHighWatermarks(kernel)),
    };
  } finally {
    kernel.remove();
  }
}

/** Reads an aggregation of every node from pages in memory, a new one each time. */
function traceReader(topology: Topology, regionsPerNode: number): () => readonly CompletedAggregation[] {
  const layout = recordedLayout('7.3');
  const pages = topology.nodes.flatMap((_node, index) =>
    aggregationPages(layout, FIRST_PID + index, 20e9, regionsOf(topology, index, regionsPerNode, 0.2)),
  );
  const words = pages.map((page) => new Uint32Array(page.buffer));
  const assembler = new AggregationAssembler(regionsPerNode);
  let seconds = 20;
  return () => {
    seconds += 1;
    assembler.cpuBegins(0);
    for (const page of words) {
      // The upper half of the page's time.
      page[layout.page.timestampOffset / 4 + 1] = seconds;
      readRingPage(page, page.byteLength, layout, assembler, () => undefined);
    }
    return assembler.sweepEnds(true);
  };
}

function observationOf(
  topology: Topology,
  aggregations: readonly CompletedAggregation[],
  policy: Policy = DEFAULT_POLICY,
): Observation {
  const nodes = topology.nodes.map((node, index) => ({
    ...NO_FLOW,
    nodeId: node.nodeId,
    totalBytes: node.totalBytes,
    freeBytes: node.freeBytes,
    highWatermarkBytes: node.highWatermarkBytes,
    snapshot: {
      nodeId: node.nodeId,
      takenAtMs: 20_000,
      maxNrAccesses: samplesIn(firstIntervals(policy)),
      aggregationIntervalMs: firstIntervals(policy).aggregationIntervalMs,
      regions: aggregations[index]?.regions ?? [],
    },
  }));
  return { nowMs: 20_100, nodes };
}

function median(work: () => unknown): number {
  const times: number[] = [];
  for (let round = 0; round < ROUNDS; round += 1) {
    const since = performance.now();
    work();
    times.push(performance.now() - since);
  }
  return middleOf(times);
}

async function medianAsync(work: () => Promise<unknown>): Promise<number> {
  const times: number[] = [];
  for (let round = 0; round < ROUNDS; round += 1) {
    const since = performance.now();
    await work();
    times.push(performance.now() - since);
  }
  return middleOf(times);
}
