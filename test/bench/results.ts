import type { EngineName } from '../../tiering/engine.ts';
import type { GradedMeasurement } from '../guest/graded-scenarios.ts';
import type { Measurement } from '../guest/scenarios.ts';

/** What the benchmark found: plain values, printed as JSON as they are and as tables by report.ts. */

export const MODES = ['none', 'numab2', 'hmsdk', 'tierd'] as const;
export type Mode = (typeof MODES)[number];

/** One workload under one way of tiering, from when it was at work (shift: from the swap). */
export interface PlacementResult extends Measurement {
  readonly kernel: string;
  readonly mode: Mode;
  /** Before all that: from its start until it was at work. */
  readonly startSeconds: number;
}

/** Memory of graded heat under one way of tiering. */
export interface GradedResult extends GradedMeasurement {
  readonly kernel: string;
  readonly mode: Mode;
  readonly startSeconds: number;
}

/** The daemon at rest in a guest, and an idle Node of the same version beside it. */
export interface DaemonCostResult {
  readonly kernel: string;
  readonly regions: number;
  readonly samplingIntervalMs: number;
  readonly aggregationIntervalMs: number;
  readonly seconds: number;
  readonly nodeVersion: string;
  readonly residentMiB: number;
  /** Of these, shared with no other process. */
  readonly privateMiB: number;
  readonly idleNodeResidentMiB: number;
  readonly idleNodePrivateMiB: number;
  /** Shares of one core. */
  readonly daemonCpu: number;
  /** Of these, in the kernel, which writes the trace as text there. */
  readonly daemonKernelCpu: number;
  readonly idleNodeCpu: number;
  readonly kdamondCpu: number;
  /** How many times slower a Node program is there than on this machine; shares on hardware are smaller by about that. */
  readonly emulationFactor: number;
}

/** The daemon's own code on this machine: the real engine over a kernel that is simulated in memory. */
export interface NativeCostResult {
  readonly regions: number;
  readonly aggregationIntervalMs: number;
  readonly seconds: number;
  readonly nodeVersion: string;
  /** Shares of one core: nothing to move, and orders at every decision. */
  readonly settledCpu: number;
  readonly movingCpu: number;
  /** At 16 nodes of as many regions each, moving. */
  readonly manyNodesCpu: number;
  readonly idleNodeCpu: number;
  /** Of one core, for reading the trace alone twice a second, by kdamonds x regions. */
  readonly traceCpu: Readonly<Record<string, number>>;
  /** Milliseconds for one decision's work over all regions, by what is done. */
  readonly stepsMs: Readonly<Record<string, number>>;
}

export interface SnapshotResult {
  /** `this machine`, or a guest's kernel. */
  readonly where: string;
  readonly regions: number;
  readonly format: 'json' | 'text';
  readonly medianMs: number;
  readonly slowestMs: number;
  readonly bytes: number;
}

/** The same work by the daemon's own code and by test/bench/peer/peer.c, in turns; medians over rounds. */
export interface PageWorkResult {
  /** `this machine`, or a guest's kernel. */
  readonly where: string;
  /** Moved from node 0 to node 1 and back in batches of 16 MiB; or the pagemap read, for the first time or once more. */
  readonly work: 'move' | 'scan' | 'scan again';
  /** How the pages were touched first, which decides how long runs of frames are. */
  readonly layout: 'in-order' | 'scattered';
  /** Of one round. */
  readonly mib: number;
  readonly rounds: number;
  readonly tierdSeconds: number;
  readonly peerSeconds: number;
  readonly tierdCpuSeconds: number;
  readonly peerCpuSeconds: number;
  /** How late the event loop was in a round, 99th percentile. */
  readonly tierdLoopDelayMs: number;
}

/** CPU time that migration takes, user and system, of the daemon with all its threads and of the kdamonds; medians over runs. */
export interface EngineCostResult {
  readonly kernel: string;
  readonly scenario: string;
  readonly engine: EngineName;
  readonly runs: number;
  readonly secondsTo99: number | null;
  readonly migratedBytes: number;
  readonly daemonCpuSecondsPerGib: number;
  readonly kdamondCpuSecondsPerGib: number;
  readonly cpuSecondsPerGib: number;
}

/** One whole snapshot of a kdamond's regions: through DAMON's files, or from the trace. */
export interface SnapshotWayResult {
  readonly kernel: string;
  readonly way: 'tried_regions' | 'trace';
  readonly aggregationIntervalMs: number;
  readonly snapshots: number;
  readonly regions: number;
  /** tried_regions: from the command to the last file. trace: reading and parsing, without the sleep until it came. */
  readonly wallMs: number;
  /** A snapshot, beyond what runs without. */
  readonly nodeCpuMs: number;
  readonly kdamondCpuMs: number;
}

/** How long answers took, asked where the daemon runs while memory moved; `all`: of all resources together. */
export interface RestLatencyResult {
  /** `simulated`: on this machine. */
  readonly kernel: string;
  readonly engine: EngineName;
  readonly path: string;
  readonly requests: number;
  readonly medianMs: number;
  readonly p99Ms: number;
  readonly maxMs: number;
  /** Meanwhile. */
  readonly migratedBytes: number;
  readonly seconds: number;
}

export interface BenchResults {
  readonly conditions: readonly string[];
  readonly placement: readonly PlacementResult[];
  readonly graded: readonly GradedResult[];
  readonly daemonCost: readonly DaemonCostResult[];
  readonly nativeCost: readonly NativeCostResult[];
  readonly snapshots: readonly SnapshotResult[];
  readonly pageWork: readonly PageWorkResult[];
  readonly engineCost: readonly EngineCostResult[];
  readonly snapshotWays: readonly SnapshotWayResult[];
  readonly restLatency: readonly RestLatencyResult[];
  /** What could not be measured, and why. */
  readonly failures: readonly string[];
}
