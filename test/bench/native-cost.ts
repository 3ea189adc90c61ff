import { spawn } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { discoverTopology } from '../../numa/discover.ts';
import { readHighWatermarks, readNodeMemory } from '../../numa/node-memory.ts';
import type { Topology } from '../../numa/topology.ts';
import { TraceParser } from '../../tiering/damon/trace-parser.ts';
import { kdamondWrites, pendingWrites } from '../../tiering/damon/tree.ts';
import { NO_FLOW } from '../../tiering/flow-ledger.ts';
import type { Observation } from '../../tiering/observation.ts';
import type { PlanInput } from '../../tiering/plan.ts';
import { maxNrAccesses, plan } from '../../tiering/plan.ts';
import type { Policy } from '../../tiering/policy.ts';
import { DEFAULT_POLICY } from '../../tiering/policy.ts';
import { nodeStatuses } from '../../tiering/status-view.ts';
import { FRESH_TUNER, tune } from '../../tiering/tuner/tune.ts';
import type { Progress } from '../guest/progress.ts';
import { ALL_FEATURES } from '../unit/tiering/machines.ts';
import { FakeKernel } from './fake-kernel.ts';
import { middleOf } from './middle.ts';
import { cpuTimeOf } from './proc-text.ts';
import type { NativeCostResult } from './results.ts';
import { endWithUs } from './scratch.ts';
import { FIRST_PID, regionsOf, withSimulatedHost } from './simulated-engine.ts';
import { aggregationText } from './trace-text.ts';

export const IDLE_NODE = 'setInterval(() => {}, 1000)';

const REGIONS = 1000;
const SECONDS = 15;
const WARM_UP_SECONDS = 5;
const ROUNDS = 400;

/** What the daemon's own code costs on this machine at two decisions a second over a thousand regions. */
export async function measureNativeCost(progress: Progress): Promise<NativeCostResult> {
  progress(`native: the engine over a simulated kernel, ${REGIONS} regions, ${2 * (SECONDS + WARM_UP_SECONDS)} s`);
  const idle = endWithUs(spawn(process.execPath, ['-e', IDLE_NODE], { stdio: 'ignore' }));
  try {
    const settledCpu = await engineCpu(0);
    const idleBefore = cpuOf(idle.pid);
    const idleSince = performance.now();
    const movingCpu = await engineCpu(0.2);
    const idleNodeCpu = ((cpuOf(idle.pid) - idleBefore) * 1000) / (performance.now() - idleSince);
    return {
      regions: REGIONS,
      aggregationIntervalMs: DEFAULT_POLICY.monitoring.aggregationIntervalMs,
      seconds: SECONDS,
      nodeVersion: process.version,
      settledCpu,
      movingCpu,
      idleNodeCpu,
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

/** The share of a core that the real engine takes; `hotShare` of the slow node's memory waits to be promoted. */
function engineCpu(hotShare: number): Promise<number> {
  return withSimulatedHost({ regions: REGIONS, hotShare }, async (engine) => {
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

/** Milliseconds that the parts of one decision take, by part: medians over many. */
async function stepsMs(): Promise<Readonly<Record<string, number>>> {
  const kernel = new FakeKernel();
  try {
    const topology = await discoverTopology(kernel);
    const nodeIds = topology.nodes.map(({ nodeId }) => nodeId);
    const texts = topology.nodes.map((_node, index) =>
      aggregationText(FIRST_PID + index, index, 20, regionsOf(topology, index, REGIONS / nodeIds.length, 0.2)),
    );
    const parser = new TraceParser();
    const parse = () => texts.flatMap((text) => parser.push(text));
    const observation = observationOf(topology, parse());
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
      'parse the trace': median(parse),
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

function observationOf(
  topology: Topology,
  aggregations: ReturnType<TraceParser['push']>,
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
      maxNrAccesses: maxNrAccesses(policy),
      aggregationIntervalMs: policy.monitoring.aggregationIntervalMs,
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
