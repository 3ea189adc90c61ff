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
  ['GET /', { operationId: 'getIndex', tag: 'state', summary: 'What answers here', hasText: true }],
  [
    'GET /v1/status',
    { operationId: 'getStatus', tag: 'state', summary: 'What the daemon does, and why', hasText: true },
  ],
  [
    'GET /v1/topology',
    { operationId: 'getTopology', tag: 'host', summary: 'Memory nodes, tiers, CXL devices, paths', hasText: true },
  ],
  [
    'GET /v1/policy',
    { operationId: 'getPolicy', tag: 'policy', summary: 'The policy in force', hasText: true, headers: ['etag'] },
  ],
  [
    'PATCH /v1/policy',
    {
      operationId: 'patchPolicy',
      tag: 'policy',
      summary: 'Change the policy, at once and for good',
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
      headers: [WARNING_HEADER],
    },
  ],
  [
    'POST /v1/resume',
    { operationId: 'resume', tag: 'policy', summary: 'Promote and demote again', headers: [WARNING_HEADER] },
  ],
  [
    'GET /v1/schemes',
    { operationId: 'getSchemes', tag: 'monitoring', summary: 'Kdamonds and schemes, with statistics', hasText: true },
  ],
  [
    'GET /v1/snapshot',
    { operationId: 'getSnapshot', tag: 'monitoring', summary: 'Regions with access rate and age', hasText: true },
  ],
  [
    'GET /v1/history',
    { operationId: 'getHistory', tag: 'monitoring', summary: 'The last hours, node by node', hasText: true },
  ],
  [
    'GET /v1/processes',
    { operationId: 'getProcesses', tag: 'monitoring', summary: 'Memory of processes by node', hasText: true },
  ],
  [
    'GET /v1/cgroups',
    { operationId: 'getCgroups', tag: 'monitoring', summary: 'Memory of cgroups by node', hasText: true },
  ],
  [
    'GET /v1/migrations',
    { operationId: 'listMigrations', tag: 'migrations', summary: 'Migrations by order', hasText: true },
  ],
  [
    'POST /v1/migrations',
    {
      operationId: 'createMigration',
      tag: 'migrations',
      summary: "Move a process's or cgroup's memory between nodes, once",
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
    { operationId: 'getMigration', tag: 'migrations', summary: 'One migration by order', hasText: true },
  ],
  [
    'DELETE /v1/migrations/:id',
    { operationId: 'cancelMigration', tag: 'migrations', summary: 'Stop it, or take an ended one off the list' },
  ],
  ['POST /v1/probe', { operationId: 'probe', tag: 'host', summary: 'Measure every memory node', hasText: true }],
  [
    'GET /v1/diagnosis',
    { operationId: 'getDiagnosis', tag: 'host', summary: 'What is wrong with this host, or might be', hasText: true },
  ],
  [
    'GET /v1/interleave',
    { operationId: 'getInterleave', tag: 'host', summary: 'Weights of weighted interleaving', hasText: true },
  ],
  [
    'PATCH /v1/interleave',
    {
      operationId: 'patchInterleave',
      tag: 'host',
      summary: 'Set weights of weighted interleaving, or give them back to the kernel',
      hasText: true,
      body: {
        schema: InterleaveRequestSchema,
        mediaTypes: BODY_TYPES,
        description: 'What the weights should be. Beside the schema: weights, of nodes that there are.',
      },
    },
  ],
  ['GET /v1/events', { operationId: 'getEvents', tag: 'monitoring', summary: 'What happens, as server-sent events' }],
  ['GET /metrics', { operationId: 'getMetrics', tag: 'monitoring', summary: 'Metrics for Prometheus' }],
  ['GET /openapi.json', { operationId: 'getOpenApi', tag: 'state', summary: 'This document', hasText: true }],
]);

/** `key: what is asked of it; another: ...`. */
function rulesText(rules: ReadonlyMap<string, string>): string {
  return [...rules].map(([key, rule]) => `${key}, ${rule}`).join('; ');
}

/** The headers of answers as the document has them. */
export function headersOf({ headers = [] }: Operation): Readonly<Record<string, object>> {
  return Object.fromEntries(headers.map((name) => [name, { type: 'string', description: HEADERS[name] }]));
}
