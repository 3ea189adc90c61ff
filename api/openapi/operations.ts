import Type from 'typebox';
import { PolicySchema } from '../../tiering/policy.ts';
import { InterleaveRequestSchema } from '../interleave-check.ts';

/** What the OpenAPI document says of an operation beside its schemas. */
export interface Operation {
  readonly operationId: string;
  readonly tag: 'state' | 'policy' | 'migrations' | 'host' | 'monitoring';
  readonly summary: string;
  /** Also answers as text for a terminal. */
  readonly hasText?: boolean;
  /** What the body is. The operation checks it itself, so that what is wrong is named key by key. */
  readonly body?: { readonly schema: object; readonly mediaTypes: readonly string[]; readonly description: string };
}

const JSON_TYPE = 'application/json';
const PATCH_TYPES = [JSON_TYPE, 'application/merge-patch+json'];

const NodeIdSchema = Type.Integer({ minimum: 0 });
const MigrationOrderSchema = Type.Object(
  {
    pid: Type.Optional(Type.Integer({ minimum: 1, description: 'The process; or else cgroup.' })),
    cgroup: Type.Optional(Type.String({ description: 'A cgroup, for all processes there and below.' })),
    from: Type.Union([NodeIdSchema, Type.Array(NodeIdSchema)]),
    to: NodeIdSchema,
    maxBytesPerSecond: Type.Optional(Type.Number({ exclusiveMinimum: 0 })),
  },
  { examples: [{ pid: 4711, from: 1, to: 0, maxBytesPerSecond: 104_857_600 }] },
);

/** By method and path, as the routes are declared; a test holds the two to each other. */
export const OPERATIONS: ReadonlyMap<string, Operation> = new Map<string, Operation>([
  [
    'GET /v1/status',
    { operationId: 'getStatus', tag: 'state', summary: 'What the daemon does, and why', hasText: true },
  ],
  [
    'GET /v1/topology',
    { operationId: 'getTopology', tag: 'host', summary: 'Memory nodes, tiers, CXL devices, paths', hasText: true },
  ],
  ['GET /v1/policy', { operationId: 'getPolicy', tag: 'policy', summary: 'The policy in force', hasText: true }],
  [
    'PATCH /v1/policy',
    {
      operationId: 'patchPolicy',
      tag: 'policy',
      summary: 'Change the policy, at once and for good',
      body: {
        schema: Type.Partial(PolicySchema),
        mediaTypes: PATCH_TYPES,
        description: 'A JSON merge patch (RFC 7396); null takes back what was set over REST.',
      },
    },
  ],
  [
    'PUT /v1/policy',
    {
      operationId: 'putPolicy',
      tag: 'policy',
      summary: 'Replace all that was set over REST',
      body: {
        schema: Type.Partial(PolicySchema),
        mediaTypes: [JSON_TYPE],
        description: 'Keys left out come from the file or are default.',
      },
    },
  ],
  ['POST /v1/pause', { operationId: 'pause', tag: 'policy', summary: 'Promote and demote nothing from now on' }],
  ['POST /v1/resume', { operationId: 'resume', tag: 'policy', summary: 'Promote and demote again' }],
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
      body: {
        schema: MigrationOrderSchema,
        mediaTypes: [JSON_TYPE],
        description: 'Whose memory, from where, to where.',
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
      body: { schema: InterleaveRequestSchema, mediaTypes: PATCH_TYPES, description: 'What the weights should be.' },
    },
  ],
  ['GET /v1/events', { operationId: 'getEvents', tag: 'monitoring', summary: 'What happens, as server-sent events' }],
  ['GET /metrics', { operationId: 'getMetrics', tag: 'monitoring', summary: 'Metrics for Prometheus' }],
  ['GET /openapi.json', { operationId: 'getOpenApi', tag: 'state', summary: 'This document' }],
]);
