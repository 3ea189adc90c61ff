import type { Static } from 'typebox';
import Type from 'typebox';

const FailureSchema = Type.Object({
  reason: Type.String({ description: 'Such as "busy", "no room on node 0", "process exited".' }),
  errno: Type.String({ description: "The kernel's word for it." }),
  bytes: Type.Number(),
});

/** A one-shot migration: GET, POST and DELETE. */
export const MigrationSchema = Type.Object({
  id: Type.Integer(),
  state: Type.Union([
    Type.Literal('queued'),
    Type.Literal('running'),
    Type.Literal('done'),
    Type.Literal('cancelled'),
    Type.Literal('failed'),
  ]),
  target: Type.Union([Type.Object({ pid: Type.Integer() }), Type.Object({ cgroup: Type.String() })]),
  from: Type.Immutable(Type.Array(Type.Integer(), { description: 'Nodes that memory leaves.' })),
  to: Type.Integer({ description: 'Node that it goes to.' }),
  maxBytesPerSecond: Type.Number(),
  createdAt: Type.String({ description: 'ISO 8601.' }),
  startedAt: Type.Optional(Type.String({ description: 'ISO 8601.' })),
  endedAt: Type.Optional(Type.String({ description: 'ISO 8601.' })),
  processes: Type.Object({
    seen: Type.Integer(),
    gone: Type.Integer({ description: 'Exited before all of their memory was dealt with.' }),
  }),
  scannedBytes: Type.Number({ description: 'Virtual memory looked at, without what is known to be empty.' }),
  totalBytes: Type.Number({
    description:
      'On the nodes in from when each process was first seen: an estimate, shared memory counts more than once.',
  }),
  movedBytes: Type.Number({ description: 'Were on a node in from, are on the node to.' }),
  failedBytes: Type.Number({ description: 'Sum of the failures.' }),
  failures: Type.Immutable(Type.Array(FailureSchema, { description: 'Bytes that did not move, by reason.' })),
  bytesPerSecond: Type.Number({ description: 'Moved, over the whole run.' }),
  progress: Type.Number({ description: '0 to 1.' }),
  message: Type.Optional(Type.String({ description: 'What is under way, why it failed, what stayed.' })),
});

/** GET /v1/migrations. */
export const MigrationsSchema = Type.Object({
  migrations: Type.Immutable(Type.Array(MigrationSchema, { description: 'Those that wait, run, and ended lately.' })),
});

export type MigrationBody = Static<typeof MigrationSchema>;
