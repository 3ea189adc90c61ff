import { LEFT_ALONE_REASONS, nodesLeftAlone } from '../../numa/left-alone.ts';
import { ENGINE_STATES } from '../../tiering/engine-state.ts';
import { directionOf } from '../../tiering/scheme.ts';
import type { Status, TieringService } from '../../tiering/service.ts';

/** What metrics are made of: one look at the service. */
export interface MetricsInput {
  readonly service: Pick<
    TieringService,
    'status' | 'topology' | 'schemes' | 'snapshots' | 'heartbeat' | 'migrations' | 'pausedSince'
  >;
  readonly version: string;
  /** CLOCK_MONOTONIC in milliseconds. */
  readonly nowMs: number;
  readonly isSaved: boolean;
  readonly process: ProcessFigures;
}

export interface ProcessFigures {
  readonly residentBytes: number;
  readonly cpuSeconds: number;
  readonly openFds: number;
  /** Seconds since 1970. */
  readonly startTimeSeconds: number;
}

export interface Sample {
  readonly labels?: Readonly<Record<string, string>>;
  readonly value: number;
}

/** One metric: its name, what it means, and how its samples follow from a look at the service. */
export interface MetricDefinition {
  readonly name: string;
  readonly help: string;
  readonly type: 'gauge' | 'counter';
  readonly labelNames: readonly string[];
  readonly samples: (input: MetricsInput) => readonly Sample[];
}

type Plain = (input: MetricsInput) => number | undefined;

function gauge(name: string, help: string, value: Plain): MetricDefinition {
  return { name, help, type: 'gauge', labelNames: [], samples: (input) => plain(value(input)) };
}

function counter(name: string, help: string, value: Plain): MetricDefinition {
  return { name, help, type: 'counter', labelNames: [], samples: (input) => plain(value(input)) };
}

function plain(value: number | undefined): readonly Sample[] {
  return value === undefined ? [] : [{ value }];
}

type NodeStatus = Status['nodes'][number];

function nodeGauge(name: string, help: string, value: (node: NodeStatus) => number | undefined): MetricDefinition {
  return {
    name,
    help,
    type: 'gauge',
    labelNames: ['node', 'tier'],
    samples: ({ service }) =>
      service.status().nodes.flatMap((node) =>
        plain(value(node)).map((sample) => ({
          ...sample,
          labels: { node: String(node.nodeId), tier: String(node.tier) },
        })),
      ),
  };
}

type Scheme = ReturnType<TieringService['schemes']>[number]['schemes'][number];

function scheme(
  type: MetricDefinition['type'],
  name: string,
  help: string,
  value: (view: Scheme) => number | undefined,
): MetricDefinition {
  return {
    name,
    help,
    type,
    labelNames: ['node', 'scheme', 'direction'],
    samples: ({ service }) =>
      service.schemes().flatMap(({ nodeId, schemes }) =>
        schemes.flatMap((view) =>
          plain(value(view)).map((sample) => ({
            ...sample,
            labels: {
              node: String(nodeId),
              scheme: view.scheme.name,
              direction: directionOf(view.scheme),
            },
          })),
        ),
      ),
  };
}

/** The histogram of requests, which only the server can fill. */
export const REQUEST_DURATION = {
  name: 'tierd_http_request_duration_seconds',
  help: 'How long the daemon took to answer a request.',
  labelNames: ['method', 'route', 'status'],
} as const;

/** Every other metric of GET /metrics; the dashboard, the alert rules and the reference go by these names. */
export const METRICS: readonly MetricDefinition[] = [
  {
    name: 'tierd_build_info',
    help: 'Constant 1, labelled with the version of tierd and the engine that moves memory.',
    type: 'gauge',
    labelNames: ['version', 'engine'],
    samples: ({ version, service }) => [{ labels: { version, engine: service.status().engine }, value: 1 }],
  },
  {
    name: 'tierd_state',
    help: 'What the daemon is doing: 1 for the state it is in, 0 for the others.',
    type: 'gauge',
    labelNames: ['state'],
    samples: ({ service }) => {
      const { state } = service.status();
      return ENGINE_STATES.map((name) => ({ labels: { state: name }, value: name === state ? 1 : 0 }));
    },
  },
  gauge('tierd_dry_run', '1 while the policy says to move nothing.', ({ service }) => Number(service.status().dryRun)),
  gauge('tierd_settings_saved', '1 while what was set over REST would survive a restart.', ({ isSaved }) =>
    Number(isSaved),
  ),
  gauge('tierd_receipt_saved', '1 while tierd would know its own kdamonds again after a crash.', ({ service }) =>
    Number(service.status().receiptProblem === undefined),
  ),
  gauge(
    'tierd_cgroups_matched',
    "1 while every entry of the policy's cgroups matches one; with 0 the status tells which do not.",
    ({ service }) => Number(service.status().scopeProblem === undefined),
  ),
  gauge(
    'tierd_paused_since_seconds',
    'When promotion and demotion were paused, as Unix time; 0: they are not.',
    ({ service }) => (service.pausedSince()?.getTime() ?? 0) / 1000,
  ),
  nodeGauge('tierd_node_memory_bytes', 'Size of the memory node.', ({ totalBytes }) => totalBytes),
  nodeGauge('tierd_node_free_bytes', 'Free memory of the node.', ({ freeBytes }) => freeBytes),
  nodeGauge(
    'tierd_node_target_ratio',
    'Used share of a fast node at which demotion begins, 0 to 1.',
    ({ targetShare }) => targetShare,
  ),
  {
    name: 'tierd_node_temperature_bytes',
    help: 'Memory of the node in the newest snapshot: hot (fast memory should hold it), cold (not accessed at all), or warm.',
    type: 'gauge',
    labelNames: ['node', 'tier', 'temperature'],
    samples: ({ service }) =>
      service.status().nodes.flatMap(({ nodeId, tier, temperatures }) =>
        temperatures === undefined
          ? []
          : (
              [
                ['hot', temperatures.hotBytes],
                ['warm', temperatures.warmBytes],
                ['cold', temperatures.coldBytes],
              ] as const
            ).map(([temperature, value]) => ({
              labels: { node: String(nodeId), tier: String(tier), temperature },
              value,
            })),
      ),
  },
  {
    name: 'tierd_nodes_left_alone',
    help: 'Memory nodes that nothing is moved to or from though nobody configured that, by why; the status names them.',
    type: 'gauge',
    labelNames: ['reason'],
    samples: ({ service }) => {
      const nodes = nodesLeftAlone(service.topology());
      return LEFT_ALONE_REASONS.map((reason) => ({
        labels: { reason },
        value: nodes.filter((node) => node.reason === reason).length,
      }));
    },
  },
  gauge(
    'tierd_hot_waiting_bytes',
    'Hot memory on nodes that have a faster one above them.',
    ({ service }) => service.status().hotBytesWaiting,
  ),
  counter(
    'tierd_promoted_bytes_total',
    'Memory moved to a faster node since the daemon started.',
    ({ service }) => service.status().promotedBytes,
  ),
  counter(
    'tierd_demoted_bytes_total',
    'Memory moved to a slower node since the daemon started.',
    ({ service }) => service.status().demotedBytes,
  ),
  counter(
    'tierd_ping_pong_bytes_total',
    'Memory that came straight back after it was moved.',
    ({ service }) => service.status().pingPongBytes,
  ),
  {
    name: 'tierd_pages_failed_bytes_total',
    help: 'Memory that did not move, by the error of move_pages(2); engine move_pages only.',
    type: 'counter',
    labelNames: ['reason'],
    samples: ({ service }) =>
      Object.entries(service.status().pages?.failedBytes ?? {}).map(([reason, value]) => ({
        labels: { reason },
        value,
      })),
  },
  counter(
    'tierd_pages_held_back_bytes_total',
    'Memory not moved back because it had been moved shortly before; engine move_pages only.',
    ({ service }) => service.status().pages?.heldBackBytes,
  ),
  gauge(
    'tierd_page_maps_bytes',
    "Memory that knowing the processes' page maps takes; engine move_pages only.",
    ({ service }) => service.status().pages?.pageMapBytes,
  ),
  scheme(
    'gauge',
    'tierd_scheme_quota_bytes',
    'Most that one pass of the scheme may try; 1: it is off.',
    (view) => view.scheme.quota.bytes,
  ),
  scheme(
    'gauge',
    'tierd_scheme_effective_quota_bytes',
    'The same as the kernel has it, some seconds old; absent before Linux 6.9.',
    (view) => view.effectiveQuotaBytes,
  ),
  scheme(
    'counter',
    'tierd_scheme_tried_bytes_total',
    'Memory the scheme was tried on.',
    ({ stats }) => stats?.triedBytes,
  ),
  scheme('counter', 'tierd_scheme_applied_bytes_total', 'Memory the scheme moved.', ({ stats }) => stats?.appliedBytes),
  scheme(
    'counter',
    'tierd_scheme_quota_exceeds_total',
    'How often the quota of the scheme was used up.',
    ({ stats }) => stats?.quotaExceeds,
  ),
  {
    name: 'tierd_kdamond_regions',
    help: 'Regions in which DAMON watches the node.',
    type: 'gauge',
    labelNames: ['node'],
    samples: ({ service }) =>
      service.schemes().map(({ nodeId, nrRegions }) => ({ labels: { node: String(nodeId) }, value: nrRegions })),
  },
  {
    name: 'tierd_snapshot_age_seconds',
    help: 'Time since the newest snapshot of the node.',
    type: 'gauge',
    labelNames: ['node'],
    samples: ({ service, nowMs }) =>
      service.snapshots().map(({ nodeId, takenAtMs }) => ({
        labels: { node: String(nodeId) },
        value: Math.max(0, nowMs - takenAtMs) / 1000,
      })),
  },
  counter('tierd_ticks_total', 'Looks of the control loop at DAMON.', ({ service }) => service.heartbeat().ticks),
  counter(
    'tierd_trace_lost_events_total',
    "Events of the access trace that the kernel's buffer had no room for.",
    ({ service }) => service.status().traceLosses.lostEvents,
  ),
  counter(
    'tierd_trace_dropped_aggregations_total',
    'Aggregations of the access trace that were not whole.',
    ({ service }) => service.status().traceLosses.droppedAggregations,
  ),
  counter('tierd_decisions_total', 'Decisions of the tuner.', ({ service }) => service.heartbeat().decisions),
  gauge('tierd_last_tick_age_seconds', 'Time since the control loop last ended a tick.', ({ service, nowMs }) => {
    const { lastTickAtMs } = service.heartbeat();
    return lastTickAtMs === undefined ? undefined : Math.max(0, nowMs - lastTickAtMs) / 1000;
  }),
  gauge(
    'tierd_last_decision_age_seconds',
    'Time since the last decision, also one to do nothing.',
    ({ service, nowMs }) => {
      const { lastDecisionAtMs } = service.heartbeat();
      return lastDecisionAtMs === undefined ? undefined : (nowMs - lastDecisionAtMs) / 1000;
    },
  ),
  gauge(
    'tierd_last_decision_seconds',
    'How long the last decision took to make and to bring to the kernel.',
    ({ service }) => {
      const { lastDecisionMs } = service.heartbeat();
      return lastDecisionMs === undefined ? undefined : lastDecisionMs / 1000;
    },
  ),
  {
    name: 'tierd_migrations',
    help: 'Migrations by order that the daemon knows of, by their state.',
    type: 'gauge',
    labelNames: ['state'],
    samples: ({ service }) => {
      const counts = new Map<string, number>();
      for (const { state } of service.migrations.list()) counts.set(state, (counts.get(state) ?? 0) + 1);
      return [...counts].map(([state, value]) => ({ labels: { state }, value }));
    },
  },
  gauge('process_resident_memory_bytes', 'Resident memory of the daemon.', ({ process }) => process.residentBytes),
  counter(
    'process_cpu_seconds_total',
    'Processor time of the daemon, user and system.',
    ({ process }) => process.cpuSeconds,
  ),
  gauge('process_open_fds', 'Open file descriptors of the daemon.', ({ process }) => process.openFds),
  gauge(
    'process_start_time_seconds',
    'When the daemon started, as Unix time.',
    ({ process }) => process.startTimeSeconds,
  ),
];
