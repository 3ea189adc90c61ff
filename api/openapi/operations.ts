import { InterleaveRequestSchema } from '../interleave-check.ts';
import { MIGRATION_RULES, MigrationRequestSchema } from '../migration-check.ts';
import { PolicyPatchSchema } from '../policy-check.ts';
import { POLICY_RULES } from '../policy-rules.ts';
import { WARNING_HEADER } from '../warning-header.ts';

/** What the OpenAPI document says of an operation beside its schemas. */
export interface Operation {
  readonly operationId: string;
  readonly tag: 'state' | 'policy' | 'migrations' | 'host' | 'monitoring';
  readonly summary: string;
  /** What a client should know besides. */
  readonly description?: string;
  /** Also answers as text for a terminal. */
  readonly hasText?: boolean;
  /** Of answers with 2xx, by name in lower case. */
  readonly headers?: readonly HeaderName[];
  /** What the body is. The operation checks it itself, so that what is wrong is named key by key. */
  readonly body?: { readonly schema: object; readonly mediaTypes: readonly string[]; readonly description: string };
}

type HeaderName = keyof typeof HEADERS;

const BODY_TYPES = ['application/json', 'application/merge-patch+json'];

/** Headers of answers, and what they say. */
const HEADERS = {
  etag: 'The state of the policy, for If-Match and If-None-Match.',
  [WARNING_HEADER]: 'What was asked for holds, but not as well as it should: why, and what is done about it.',
  location: 'Where the new one is.',
} as const;

const POLICY_RULES_TEXT = `Beside the schema: ${rulesText(POLICY_RULES)}.`;

/** By method and path, as the routes are declared; a test holds the two to each other. */
export const OPERATIONS: ReadonlyMap<string, Operation> = new Map<string, Operation>([
  [
    'GET /',
    {
      operationId: 'getIndex',
      tag: 'state',
      summary: 'What answers here',
      description: 'One line for each request.',
      hasText: true,
    },
  ],
  [
    'GET /v1/status',
    {
      operationId: 'getStatus',
      tag: 'state',
      summary: 'What the daemon does, and why',
      description:
        'State, utilization and target of each node, what moved, what waits, and the reason for each decision.',
      hasText: true,
    },
  ],
  [
    'GET /v1/topology',
    {
      operationId: 'getTopology',
      tag: 'host',
      summary: 'Memory nodes, tiers, CXL devices, paths',
      description:
        'Nodes, tiers, CXL devices and regions, distances, speeds and where they come from, migration paths.',
      hasText: true,
    },
  ],
  [
    'GET /v1/policy',
    {
      operationId: 'getPolicy',
      tag: 'policy',
      summary: 'The policy in force',
      description:
        'The policy keys of the configuration with their values. `sources=true` and text also say where each value comes from.',
      hasText: true,
      headers: ['etag'],
    },
  ],
  [
    'PATCH /v1/policy',
    {
      operationId: 'patchPolicy',
      tag: 'policy',
      summary: 'Change the policy, at once and for good',
      description:
        'The patch is validated as a whole, then applied without a restart of the monitoring, or refused as a whole. Within 2 s it is in force (200) or pending (202); `tierd-warning` says why it is pending, and the log says so if the kernel refuses it later. With `If-Match` or `If-None-Match` the request waits for its turn instead. `tierd-warning` also names a change that is in force but could not be saved, for example on a full disk.',
      headers: ['etag', WARNING_HEADER],
      body: {
        schema: PolicyPatchSchema,
        mediaTypes: BODY_TYPES,
        description: `A JSON merge patch (RFC 7396); null takes back what was set over REST. ${POLICY_RULES_TEXT}`,
      },
    },
  ],
  [
    'PUT /v1/policy',
    {
      operationId: 'putPolicy',
      tag: 'policy',
      summary: 'Replace all that was set over REST',
      description: 'As PATCH otherwise.',
      headers: ['etag', WARNING_HEADER],
      body: {
        schema: PolicyPatchSchema,
        mediaTypes: BODY_TYPES,
        description: `Keys left out, or null, come from the file or are default. ${POLICY_RULES_TEXT}`,
      },
    },
  ],
  [
    'POST /v1/pause',
    {
      operationId: 'pause',
      tag: 'policy',
      summary: 'Promote and demote nothing from now on',
      description:
        'Nothing is promoted or demoted from now on, also after a restart. Monitoring and migrations by order continue. 202 with `pending`: a kdamond does not answer yet; it gets the pause as soon as it does.',
      headers: [WARNING_HEADER],
    },
  ],
  [
    'POST /v1/resume',
    {
      operationId: 'resume',
      tag: 'policy',
      summary: 'Promote and demote again',
      description: 'Also takes DAMON again after it was left to others. 409 while something else runs DAMON.',
      headers: [WARNING_HEADER],
    },
  ],
  [
    'GET /v1/schemes',
    {
      operationId: 'getSchemes',
      tag: 'monitoring',
      summary: 'Kdamonds and schemes, with statistics',
      description: 'Includes the quotas in effect (`effectiveQuotaBytes`, Linux 6.9), read every 5 s at most.',
      hasText: true,
    },
  ],
  [
    'GET /v1/snapshot',
    {
      operationId: 'getSnapshot',
      tag: 'monitoring',
      summary: 'Regions with access rate and age',
      description: 'Regions, totals of all regions, and how many regions were left out.',
      hasText: true,
    },
  ],
  [
    'GET /v1/history',
    {
      operationId: 'getHistory',
      tag: 'monitoring',
      summary: 'The last hours, node by node',
      description:
        'Steps of 1 s for 10 minutes, of 10 s for 2 hours and of 1 min for a day. Gauges are the mean of a step, moved bytes its sum.',
      hasText: true,
    },
  ],
  [
    'GET /v1/processes',
    {
      operationId: 'getProcesses',
      tag: 'monitoring',
      summary: 'Memory of processes by node',
      description: 'Processes with the most hot memory on slow nodes come first, then the largest.',
      hasText: true,
    },
  ],
  [
    'GET /v1/cgroups',
    {
      operationId: 'getCgroups',
      tag: 'monitoring',
      summary: 'Memory of cgroups by node',
      description:
        'Each cgroup includes all cgroups below it. Those with the most hot memory on slow nodes come first, then the largest.',
      hasText: true,
    },
  ],
  [
    'GET /v1/migrations',
    {
      operationId: 'listMigrations',
      tag: 'migrations',
      summary: 'Migrations by order',
      description: 'The migrations that wait, that run, and that ended lately.',
      hasText: true,
    },
  ],
  [
    'POST /v1/migrations',
    {
      operationId: 'createMigration',
      tag: 'migrations',
      summary: "Move a process's or cgroup's memory between nodes, once",
      description:
        'Moves what is mapped in, hot or cold, whatever `dryRun` and `cgroups` say. `from` is a node or a list of nodes. By default `maxBytesPerSecond` is the smaller `maxMiBPerSecond` of the policy.',
      headers: ['location'],
      body: {
        schema: MigrationRequestSchema,
        mediaTypes: BODY_TYPES,
        description: `Whose memory, from where, to where. Beside the schema: ${rulesText(MIGRATION_RULES)}.`,
      },
    },
  ],
  [
    'GET /v1/migrations/:id',
    {
      operationId: 'getMigration',
      tag: 'migrations',
      summary: 'One migration by order',
      description: 'Progress, bytes moved, and bytes that did not move by reason.',
      hasText: true,
    },
  ],
  [
    'DELETE /v1/migrations/:id',
    {
      operationId: 'cancelMigration',
      tag: 'migrations',
      summary: 'Stop it, or take an ended one off the list',
      description: 'Stops between two batches and answers with what was done.',
    },
  ],
  [
    'POST /v1/probe',
    {
      operationId: 'probe',
      tag: 'host',
      summary: 'Measure every memory node',
      description: 'Measures every memory node. The daemon uses the figures from then on.',
      hasText: true,
    },
  ],
  [
    'GET /v1/diagnosis',
    {
      operationId: 'getDiagnosis',
      tag: 'host',
      summary: 'What is wrong with this host, or might be',
      description: 'The same as `tierd doctor`.',
      hasText: true,
    },
  ],
  [
    'GET /v1/interleave',
    {
      operationId: 'getInterleave',
      tag: 'host',
      summary: 'Weights of weighted interleaving',
      description:
        "The weights in force (Linux 6.9), who set them, and the weights that the nodes' read bandwidths recommend.",
      hasText: true,
    },
  ],
  [
    'PATCH /v1/interleave',
    {
      operationId: 'patchInterleave',
      tag: 'host',
      summary: 'Set weights of weighted interleaving, or give them back to the kernel',
      description:
        '`{"weights": {"0": 3, "1": 1}}` sets weights, `{"weights": "recommended"}` sets those of the bandwidths, and `{"weights": "kernel"}` gives them back: auto (Linux 6.16), else 1 each. The weights belong to the host: tierd leaves them as they are when it stops, and does not set them when it starts.',
      hasText: true,
      body: {
        schema: InterleaveRequestSchema,
        mediaTypes: BODY_TYPES,
        description: 'What the weights should be. Beside the schema: weights, of nodes that there are.',
      },
    },
  ],
  [
    'GET /v1/events',
    {
      operationId: 'getEvents',
      tag: 'monitoring',
      summary: 'What happens, as server-sent events',
      description: 'The stream never ends. Eight clients may follow it; a ninth gets 429.',
    },
  ],
  [
    'GET /metrics',
    {
      operationId: 'getMetrics',
      tag: 'monitoring',
      summary: 'Metrics for Prometheus',
      description: 'Prometheus text format.',
    },
  ],
  [
    'GET /openapi.json',
    {
      operationId: 'getOpenApi',
      tag: 'state',
      summary: 'This document',
      description: 'Made from the schemas that validate requests. As text: a list of the requests.',
      hasText: true,
    },
  ],
]);

/** `key: what is asked of it; another: ...`. */
function rulesText(rules: ReadonlyMap<string, string>): string {
  return [...rules].map(([key, rule]) => `${key}, ${rule}`).join('; ');
}

/** The headers of answers as the document has them. */
export function headersOf({ headers = [] }: Operation): Readonly<Record<string, object>> {
  return Object.fromEntries(headers.map((name) => [name, { type: 'string', description: HEADERS[name] }]));
}
