import type { ProbeReport } from '../numa/probe/result.ts';
import type { Topology } from '../numa/topology.ts';
import type { Finding } from './doctor/finding.ts';
import type { EngineName, PageAccounts } from './engine.ts';
import type { EngineState } from './engine-state.ts';
import type { EventLog } from './events/event-log.ts';
import type { TraceLosses } from './fleet-trace.ts';
import type { HistoryAnswer, HistoryQuery } from './history/history.ts';
import type { Interleave } from './interleave/interleave.ts';
import type { MigrationService } from './jobs/migration-job.ts';
import type { Policy } from './policy.ts';
import type { DesiredKdamond, DesiredScheme, SchemeStats } from './scheme.ts';
import type { NodeSnapshot, Temperatures } from './snapshot.ts';
import type { CgroupSurvey, ProcessSurvey } from './survey/survey.ts';

/** What the REST API and the command line see of the running engine. Everything is answered from memory: no call waits for the kernel. */
export interface TieringService {
  status(): Status;
  topology(): Topology;
  policy(): Policy;
  /** Applies a complete, already validated policy online. Resolves when the kernel has taken it; rejects leaving the old policy in force. */
  setPolicy(policy: Policy): Promise<void>;
  /** The kdamonds as they are now and as they would be with another, already validated policy, for the same observation. */
  preview(policy: Policy): Promise<PolicyPlans>;
  /** Since when nothing may move; undefined: it may. */
  pausedSince(): Date | undefined;
  /** Promotes and demotes nothing until resume(), and goes on watching. Holds from this call on; resolves when the kdamonds that answer know. Migrations by order go on. */
  pause(since: Date): Promise<void>;
  /** Nodes whose kdamonds have not yet taken what was asked for last; they are told as soon as they answer. */
  pendingNodeIds(): readonly number[];
  /** Promotes and demotes again, and takes DAMON again when it was left to others; then throws what taking DAMON throws, and nothing has changed. */
  resume(): Promise<void>;
  /** What is wrong with this host, or might be; reads some dozens of files. */
  diagnose(): Promise<readonly Finding[]>;
  /** What the loop has done so far: a loop that stands still shows by it. */
  heartbeat(): Heartbeat;
  schemes(): readonly KdamondView[];
  /** The newest snapshot of every monitored node, by ascending node id; empty until the first aggregation. */
  snapshots(): readonly NodeSnapshot[];
  /** What the decisions of the last hours knew and asked for, by node. */
  history(query: HistoryQuery): HistoryAnswer;
  /**
   * Measures all memory nodes, some 2 s each; the topology has the results from then on. Nothing else moves memory meanwhile.
   * Rejects with ProbeRunningError while one is under way.
   */
  probe(): Promise<ProbeReport>;
  /** Which processes have memory where, and hot memory on slow nodes; taken when asked for, at most a minute old. Throws SysFsError. */
  processes(): Promise<ProcessSurvey>;
  /** The same of cgroups. Throws SysFsError, KernelFormatError. */
  cgroups(): Promise<CgroupSurvey>;
  /** What happened lately, and what happens. */
  readonly events: EventLog;
  /** Weights of weighted interleaving. */
  readonly interleave: Pick<Interleave, 'read' | 'set'>;
  /** One-shot migrations, beside what the engine moves. */
  readonly migrations: MigrationService;
}

export interface Heartbeat {
  /** Looks at DAMON since start, whether or not there was something to decide. */
  readonly ticks: number;
  /** Decisions since start. */
  readonly decisions: number;
  /** When the last tick ended, CLOCK_MONOTONIC in milliseconds; undefined: none has. */
  readonly lastTickAtMs: number | undefined;
  /** When the last decision was made, also one to do nothing, or it was found that others have DAMON; CLOCK_MONOTONIC in milliseconds; undefined: none was. */
  readonly lastDecisionAtMs: number | undefined;
  /** How long the last decision took to make and to bring to the kernel, without the time migrations were waited for. */
  readonly lastDecisionMs: number | undefined;
}

export interface PolicyPlans {
  readonly before: readonly DesiredKdamond[];
  readonly after: readonly DesiredKdamond[];
  /** Which of the policy's cgroups match nothing, and what that would mean. */
  readonly scopeProblem?: string;
}

export interface Status {
  readonly state: EngineState;
  /** What keeps the engine from working, and the way out. */
  readonly problem?: string;
  /** While starting: what it waits for, beside the first snapshot. */
  readonly waitingFor?: string;
  /** Why what is known of the running kdamonds is not on disk, and what a crash would mean meanwhile. */
  readonly receiptProblem?: string;
  /** Which of the policy's cgroups match nothing, and what that means. */
  readonly scopeProblem?: string;
  /** Why nodes are watched in fewer regions than the policy says. */
  readonly regionLimit?: string;
  /** What moves memory; `auto` until that is decided. */
  readonly engine: EngineName | 'auto';
  readonly dryRun: boolean;
  /** ISO 8601; present while paused. */
  readonly pausedSince?: string;
  readonly startedAt: string;
  readonly uptimeSeconds: number;
  readonly nodes: readonly NodeStatus[];
  /** Since start, over all nodes. */
  readonly promotedBytes: number;
  readonly demotedBytes: number;
  /** Over the last ticks (about 5 s), bytes a second. */
  readonly promotedBytesPerSecond: number;
  readonly demotedBytesPerSecond: number;
  /** Hot bytes on nodes that have a faster one above them. */
  readonly hotBytesWaiting: number;
  /** Bytes that came straight back after a demotion, as estimated since start. */
  readonly pingPongBytes: number;
  /** What the access trace has lost since start. */
  readonly traceLosses: TraceLosses;
  /** What became of single pages, where the engine knows. */
  readonly pages?: PageAccounts;
}

export interface NodeStatus {
  readonly nodeId: number;
  readonly tier: number;
  readonly totalBytes: number;
  readonly freeBytes: number;
  readonly usedShare: number;
  /** Present on nodes of the fastest tier: the share at which demotion begins, after headroom. */
  readonly targetShare?: number;
  readonly temperatures?: Temperatures;
  /** Where its memory goes now: the order's target, or without an order the preferred one. */
  readonly promotionTarget?: number;
  readonly demotionTarget?: number;
  /** Why the tuner asks for what it asks for, in words. */
  readonly decision?: string;
}

export interface SchemeView {
  readonly index: number;
  readonly scheme: DesiredScheme;
  readonly stats?: SchemeStats;
  /** What one pass may try as the kernel has it, some seconds old; absent where it does not tell (before Linux 6.9). */
  readonly effectiveQuotaBytes?: number;
}

/** A kdamond that tierd runs. */
export interface KdamondView {
  readonly index: number;
  readonly pid: number;
  readonly nodeId: number;
  readonly samplingIntervalUs: number;
  readonly aggregationIntervalUs: number;
  readonly minRegions: number;
  readonly maxRegions: number;
  readonly nrRegions: number;
  readonly schemes: readonly SchemeView[];
}
