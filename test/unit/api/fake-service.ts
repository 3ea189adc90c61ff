import type { ProbeReport } from '../../../numa/probe/result.ts';
import type { Topology } from '../../../numa/topology.ts';
import type { Finding } from '../../../tiering/doctor/finding.ts';
import { EventLog } from '../../../tiering/events/event-log.ts';
import type { HistoryAnswer, HistoryQuery } from '../../../tiering/history/history.ts';
import { History } from '../../../tiering/history/history.ts';
import type { InterleaveOrder, InterleaveState } from '../../../tiering/interleave/interleave.ts';
import type { MigrationJob, MigrationOrder, MigrationService } from '../../../tiering/jobs/migration-job.ts';
import type { Policy } from '../../../tiering/policy.ts';
import { DEFAULT_POLICY } from '../../../tiering/policy.ts';
import type { DesiredKdamond } from '../../../tiering/scheme.ts';
import type { Heartbeat, KdamondView, PolicyPlans, Status, TieringService } from '../../../tiering/service.ts';
import type { NodeSnapshot, Region } from '../../../tiering/snapshot.ts';
import type { CgroupSurvey, ProcessSurvey } from '../../../tiering/survey/survey.ts';
import { firstIntervals } from '../../../tiering/tuner/intervals.ts';

export const MIB = 1024 * 1024;

const TOPOLOGY: Topology = {
  nodes: [
    {
      nodeId: 0,
      kind: 'dram',
      cpus: [0, 1],
      totalBytes: 963 * MIB,
      freeBytes: 100 * MIB,
      highWatermarkBytes: 51 * MIB,
      distances: new Map([
        [0, 10],
        [1, 20],
      ]),
      ranges: [{ start: 0x100000, end: 0x40000000 }],
    },
    {
      nodeId: 1,
      kind: 'cxl',
      cpus: [],
      totalBytes: 1024 * MIB,
      freeBytes: 900 * MIB,
      highWatermarkBytes: 12 * MIB,
      distances: new Map([
        [0, 20],
        [1, 10],
      ]),
      performance: { source: 'hmat', readLatencyNs: 250 },
      ranges: [{ start: 0x100000000, end: 0x140000000 }],
      cxl: {
        region: 'region0',
        daxDevice: 'dax0.0',
        sizeBytes: 1024 * MIB,
        interleaveWays: 1,
        devices: [{ name: 'mem0', sizeBytes: 1024 * MIB, serial: '0x1' }],
      },
    },
  ],
  tiers: [
    { rank: 0, nodeIds: [0] },
    { rank: 1, nodeIds: [1] },
  ],
  tierSource: 'kernel',
  paths: [
    { nodeId: 0, promotionTargets: [], demotionTargets: [1] },
    { nodeId: 1, promotionTargets: [0], demotionTargets: [] },
  ],
};

const STATUS: Status = {
  state: 'moving',
  engine: 'damos',
  dryRun: false,
  startedAt: '2026-11-23T05:00:00.000Z',
  uptimeSeconds: 75.5,
  nodes: [
    {
      nodeId: 0,
      tier: 0,
      totalBytes: 963 * MIB,
      freeBytes: 100 * MIB,
      usedShare: 0.896,
      targetShare: 0.94,
      temperatures: { hotBytes: 200 * MIB, warmBytes: 12 * MIB, coldBytes: 751 * MIB },
      demotionTarget: 1,
      decision: 'demotes 20.0 MiB a second: 48.0 MiB hot wait on node 1, 43.0 MiB are free below the target',
    },
    { nodeId: 1, tier: 1, totalBytes: 1024 * MIB, freeBytes: 900 * MIB, usedShare: 0.121, promotionTarget: 0 },
  ],
  promotedBytes: 152 * MIB,
  demotedBytes: 20 * MIB,
  promotedBytesPerSecond: 18.5 * MIB,
  demotedBytesPerSecond: 0,
  hotBytesWaiting: 48 * MIB,
  pingPongBytes: 0,
  traceLosses: { lostEvents: 0, droppedAggregations: 0 },
};

const KDAMONDS: readonly KdamondView[] = [
  {
    index: 0,
    pid: 321,
    nodeId: 1,
    samplingIntervalUs: 50_000,
    aggregationIntervalUs: 1_000_000,
    minRegions: 250,
    maxRegions: 1000,
    nrRegions: 3,
    schemes: [
      {
        index: 0,
        scheme: {
          name: 'promote',
          action: 'migrate_hot',
          targetNid: 0,
          pattern: {
            sizeBytes: { min: 4096, max: 2 ** 64 },
            nrAccesses: { min: 4, max: 20 },
            age: { min: 0, max: 2 ** 32 - 1 },
          },
          quota: { bytes: 50 * MIB, resetIntervalMs: 500, weights: { size: 0, nrAccesses: 100, age: 50 } },
          filters: [
            { type: 'young', matching: true, allow: true },
            { type: 'memcg', memcgPath: '/system.slice', matching: true, allow: false },
          ],
        },
        stats: { nrTried: 5, triedBytes: 10 * MIB, nrApplied: 4, appliedBytes: 8 * MIB, quotaExceeds: 1 },
        effectiveQuotaBytes: 48 * MIB,
      },
    ],
  },
];

/** Two nodes whose regions show every shade, temperature and order of size. */
const SNAPSHOTS: readonly NodeSnapshot[] = [
  {
    nodeId: 0,
    takenAtMs: 1000,
    maxNrAccesses: 20,
    aggregationIntervalMs: 1000,
    regions: [
      { start: 0x100000, end: 0x101000, nrAccesses: 0, age: 7 },
      { start: 0x101000, end: 0x8100000, nrAccesses: 20, age: 12 },
      { start: 0x8100000, end: 0x10000000, nrAccesses: 2, age: 700 },
    ],
  },
  {
    nodeId: 1,
    takenAtMs: 1500,
    maxNrAccesses: 20,
    aggregationIntervalMs: 1000,
    regions: [
      { start: 0x100000000, end: 0x13fe00000, nrAccesses: 0, age: 3600 },
      { start: 0x13fe00000, end: 0x140000000, nrAccesses: 11, age: 2 },
    ],
  },
];

/** A snapshot of one node with many regions of changing rate and age. */
export function largeSnapshot(nrRegions: number): NodeSnapshot {
  const regions = Array.from({ length: nrRegions }, (_, index): Region => {
    const start = 0x100000000 + index * 4 * MIB;
    return { start, end: start + 4 * MIB, nrAccesses: index % 21, age: index % 997 };
  });
  return { nodeId: 0, takenAtMs: 0, maxNrAccesses: 20, aggregationIntervalMs: 1000, regions };
}

const PROCESSES: ProcessSurvey = {
  takenAtMs: 500,
  processes: [
    {
      pid: 4711,
      name: 'postgres',
      cgroup: '/system.slice/postgresql.service',
      sizeBytes: 640 * MIB,
      nodes: [
        { nodeId: 0, sizeBytes: 512 * MIB },
        { nodeId: 1, sizeBytes: 128 * MIB, hotBytes: 64 * MIB },
      ],
      hotOnSlowBytes: 64 * MIB,
    },
    { pid: 1, name: 'systemd', sizeBytes: 8 * MIB, nodes: [{ nodeId: 0, sizeBytes: 8 * MIB }], hotOnSlowBytes: 0 },
  ],
  unread: { processes: 0, residentBytes: 0 },
};

const CGROUPS: CgroupSurvey = {
  takenAtMs: 500,
  cgroups: [
    {
      path: '/system.slice',
      sizeBytes: 700 * MIB,
      nodes: [
        { nodeId: 0, sizeBytes: 572 * MIB },
        { nodeId: 1, sizeBytes: 128 * MIB, hotBytes: 64 * MIB },
      ],
      hotOnSlowBytes: 64 * MIB,
    },
    { path: '/user.slice', sizeBytes: 2 * MIB, nodes: [{ nodeId: 0, sizeBytes: 2 * MIB }], hotOnSlowBytes: 0 },
  ],
  isPartial: false,
  unchargedHotBytes: 4 * MIB,
};

const QUEUED = {
  state: 'queued',
  createdAt: '2026-11-23T05:01:00.000Z',
  processes: { seen: 0, gone: 0 },
  scannedBytes: 0,
  totalBytes: 0,
  movedBytes: 0,
  failedBytes: 0,
  failures: [],
  bytesPerSecond: 0,
  progress: 0,
} as const;

const PROBED: ProbeReport = {
  nodes: [
    {
      nodeId: 0,
      readLatencyNs: 101.2,
      readBandwidthMiBps: 25_762.3,
      writeBandwidthMiBps: 19_940.1,
      bufferBytes: 128 * MIB,
      initiatorNodeIds: [0],
      takenAt: '2026-11-23T05:02:00.000Z',
    },
  ],
  skipped: [{ nodeId: 1, reason: '20 MiB are free, 182 MiB are needed' }],
};

const FINDINGS: readonly Finding[] = [
  {
    id: 'numa-balancing',
    severity: 'warning',
    title: 'NUMA balancing is on and moves memory on its own, whatever the target',
    evidence: [{ file: '/proc/sys/kernel/numa_balancing', value: '2' }],
    remedy: 'sysctl kernel.numa_balancing=0',
  },
  { id: 'tiers', severity: 'ok', title: '2 memory tiers', evidence: [] },
];

/** Migrations that nobody runs: a test puts them in any state. */
class FakeMigrations implements MigrationService {
  readonly jobs = new Map<number, MigrationJob>();
  /** What the next create rejects with. */
  refusal: Error | undefined;

  async create(order: MigrationOrder): Promise<MigrationJob> {
    if (this.refusal !== undefined) throw this.refusal;
    const job = { ...QUEUED, id: this.jobs.size + 1, ...order };
    this.jobs.set(job.id, job);
    return job;
  }

  list(): readonly MigrationJob[] {
    return [...this.jobs.values()];
  }

  get(id: number): MigrationJob | undefined {
    return this.jobs.get(id);
  }

  async cancel(id: number): Promise<MigrationJob | undefined> {
    const job = this.jobs.get(id);
    if (job === undefined) return undefined;
    const cancelled = { ...job, state: 'cancelled' } as const;
    this.jobs.set(id, cancelled);
    return cancelled;
  }
}

/** Weights that remember what was asked for. */
class FakeInterleave {
  readonly orders: InterleaveOrder[] = [];
  /** What the next calls reject with. */
  refusal: Error | undefined;

  async read(): Promise<InterleaveState> {
    if (this.refusal !== undefined) throw this.refusal;
    return {
      mode: 'manual',
      hasAuto: true,
      weights: [
        { nodeId: 0, weight: 1 },
        { nodeId: 1, weight: 1 },
      ],
      recommendation: {
        source: 'hmat',
        weights: [
          { nodeId: 0, weight: 3 },
          { nodeId: 1, weight: 1 },
        ],
      },
    };
  }

  async set(order: InterleaveOrder): Promise<InterleaveState> {
    const state = await this.read();
    this.orders.push(order);
    return state;
  }
}

/** An engine without a kernel: answers from constants and remembers the policies it was given. */
export class FakeService implements TieringService {
  /** What its status has in place of what it always has. */
  statusChanges: Partial<Status> = {};
  topologyChanges: Partial<Topology> = {};
  readonly applied: Policy[] = [];
  /** What the next setPolicy rejects with. */
  refusal: Error | undefined;
  snapshotList: readonly NodeSnapshot[] = SNAPSHOTS;
  /** Nothing is in it until a test records something. */
  readonly past = new History();
  readonly events = new EventLog();
  /** The clock of `past`. */
  nowMs = 2000;
  readonly migrations = new FakeMigrations();
  readonly interleave = new FakeInterleave();
  #policy = DEFAULT_POLICY;
  #pausedSince: Date | undefined;
  /** Whose kdamonds do not answer. */
  pendingNodes: readonly number[] = [];

  status(): Status {
    return { ...STATUS, ...this.statusChanges };
  }

  topology(): Topology {
    return { ...TOPOLOGY, ...this.topologyChanges };
  }

  policy(): Policy {
    return this.#policy;
  }

  async setPolicy(policy: Policy): Promise<void> {
    // The kernel takes its time, so that patches which are not serialized would lose updates.
    await new Promise((resolve) => setImmediate(resolve));
    if (this.refusal !== undefined) throw this.refusal;
    this.applied.push(policy);
    this.#policy = policy;
  }

  async diagnose(): Promise<readonly Finding[]> {
    return FINDINGS;
  }

  heartbeat(): Heartbeat {
    return { ticks: 7, decisions: 5, lastTickAtMs: 1900, lastDecisionAtMs: 1850, lastDecisionMs: 12.5 };
  }

  async preview(policy: Policy): Promise<PolicyPlans> {
    const plan = (watched: Policy): DesiredKdamond => ({
      nodeId: 1,
      samplingIntervalUs: firstIntervals(watched).samplingIntervalMs * 1000,
      aggregationIntervalUs: 1_000_000,
      updateIntervalUs: 10_000_000,
      minRegions: 250,
      maxRegions: 1000,
      ranges: [{ start: 0x100000000, end: 0x140000000 }],
      schemes: KDAMONDS.flatMap(({ schemes }) =>
        schemes.map(({ scheme }) => ({ ...scheme, action: watched.dryRun ? 'stat' : scheme.action })),
      ),
    });
    return { before: [plan(this.#policy)], after: [plan(policy)] };
  }

  pausedSince(): Date | undefined {
    return this.#pausedSince;
  }

  pendingNodeIds(): readonly number[] {
    return this.pendingNodes;
  }

  async pause(since: Date): Promise<void> {
    this.#pausedSince = since;
  }

  async resume(): Promise<void> {
    this.#pausedSince = undefined;
  }

  async probe(): Promise<ProbeReport> {
    if (this.refusal !== undefined) throw this.refusal;
    return PROBED;
  }

  async processes(): Promise<ProcessSurvey> {
    if (this.refusal !== undefined) throw this.refusal;
    return PROCESSES;
  }

  async cgroups(): Promise<CgroupSurvey> {
    if (this.refusal !== undefined) throw this.refusal;
    return CGROUPS;
  }

  schemes(): readonly KdamondView[] {
    return KDAMONDS;
  }

  snapshots(): readonly NodeSnapshot[] {
    return this.snapshotList;
  }

  history(query: HistoryQuery): HistoryAnswer {
    return this.past.query(query, this.nowMs);
  }
}
