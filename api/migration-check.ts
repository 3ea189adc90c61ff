import type { Static } from 'typebox';
import Type from 'typebox';
import type { Topology } from '../numa/topology.ts';
import type { MigrationOrder, MigrationTarget } from '../tiering/jobs/migration-job.ts';
import type { Policy } from '../tiering/policy.ts';
import { CGROUP_PATH } from '../tiering/policy.ts';
import { CGROUP_PATH_RULE, cgroupPathViolations } from './cgroup-path-rule.ts';
import { InvalidMigrationError } from './errors.ts';
import { compileCheck } from './schema/check.ts';
import type { Violation } from './schema/violation.ts';
import { wrongValue } from './schema/violation.ts';

const BYTES_PER_MIB = 1024 * 1024;

const NodeIdSchema = Type.Integer({ title: 'a node id', minimum: 0, maximum: 1023 });

const ShapeSchema = Type.Object(
  {
    pid: Type.Optional(
      Type.Integer({ title: 'a process id', minimum: 1, maximum: 4_194_304, description: 'Whose memory to move.' }),
    ),
    cgroup: Type.Optional(
      Type.String({
        ...CGROUP_PATH,
        description: 'Instead of pid: all processes of this cgroup and those below it, a path from the cgroup mount.',
      }),
    ),
    from: Type.Union([NodeIdSchema, Type.Array(NodeIdSchema, { minItems: 1, maxItems: 1024 })], {
      title: 'a node id or a list of node ids',
      description: 'Where memory is taken from.',
    }),
    to: NodeIdSchema,
    maxBytesPerSecond: Type.Optional(
      Type.Integer({
        minimum: BYTES_PER_MIB,
        maximum: 1_000_000 * BYTES_PER_MIB,
        description: "By default the smaller of the policy's two maxMiBPerSecond.",
      }),
    ),
  },
  { additionalProperties: false },
);

/** Body of POST /v1/migrations: the shape that is checked, and the choice that targetOf() makes, in better words when it cannot. */
export const MigrationRequestSchema = {
  ...ShapeSchema,
  oneOf: [{ required: ['pid'] }, { required: ['cgroup'] }],
  examples: [{ pid: 4711, from: 1, to: 0, maxBytesPerSecond: 100 * BYTES_PER_MIB }],
};

/** What a request must meet beside its schema, by key, for the API's document: it depends on the host, or on another key. */
export const MIGRATION_RULES: ReadonlyMap<string, string> = new Map([
  ['from', 'nodes with memory'],
  ['to', 'a node with memory, and none of those in from'],
  ['pid', 'the id of a process that runs'],
  ['cgroup', `a cgroup that is there, ${CGROUP_PATH_RULE}`],
]);

type MigrationRequest = Static<typeof ShapeSchema>;

const checkShape = compileCheck(ShapeSchema);

/**
 * The order that a request's body gives on this machine. Throws InvalidMigrationError, which names everything that is wrong.
 * Whether the process or cgroup is there is not known here.
 */
export function migrationOrder(body: unknown, topology: Topology, policy: Policy): MigrationOrder {
  const checked = checkShape(body);
  if (!checked.ok) throw new InvalidMigrationError(checked.violations);
  const request = checked.value;
  const target = targetOf(request);
  const violations = [
    ...(request.cgroup === undefined ? [] : cgroupPathViolations(['cgroup'], request.cgroup)),
    ...nodeViolations(request, topology),
  ];
  if (target === undefined || violations.length > 0) {
    throw new InvalidMigrationError([...(target === undefined ? [targetViolation(request)] : []), ...violations]);
  }
  return {
    target,
    from: sourceIds(request),
    to: request.to,
    maxBytesPerSecond: request.maxBytesPerSecond ?? policyBytesPerSecond(policy),
  };
}

function targetOf({ pid, cgroup }: MigrationRequest): MigrationTarget | undefined {
  if (pid !== undefined) return cgroup === undefined ? { pid } : undefined;
  return cgroup === undefined ? undefined : { cgroup };
}

function targetViolation({ pid, cgroup }: MigrationRequest): Violation {
  if (pid === undefined) return wrongValue(['pid'], pid, 'given, or cgroup in its place');
  return wrongValue(['cgroup'], cgroup, 'left out when pid is given');
}

function nodeViolations(request: MigrationRequest, topology: Topology): Violation[] {
  const known = topology.nodes.map(({ nodeId }) => nodeId);
  const allowed =
    known.length === 0 ? 'a node with memory: none is known yet' : `a node with memory: ${known.join(', ')}`;
  const from = sourceIds(request);
  const violations: Violation[] = [];
  for (const [index, nodeId] of from.entries()) {
    const path = Array.isArray(request.from) ? ['from', index] : ['from'];
    if (!known.includes(nodeId)) violations.push(wrongValue(path, nodeId, allowed));
  }
  if (!known.includes(request.to)) violations.push(wrongValue(['to'], request.to, allowed));
  else if (from.includes(request.to)) violations.push(wrongValue(['to'], request.to, 'another node than in from'));
  return violations;
}

function sourceIds({ from }: MigrationRequest): readonly number[] {
  return typeof from === 'number' ? [from] : [...new Set(from)];
}

function policyBytesPerSecond({ promotion, demotion }: Policy): number {
  return Math.round(Math.min(promotion.maxMiBPerSecond, demotion.maxMiBPerSecond) * BYTES_PER_MIB);
}
