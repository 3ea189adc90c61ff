import type { Static } from 'typebox';
import Type from 'typebox';
import { ENGINE_NAMES } from '../tiering/engine.ts';
import { OWN_MEMORY } from '../tiering/own-memory.ts';
import { PolicySchema } from '../tiering/policy.ts';

const closed = { additionalProperties: false };

const NodeIdSchema = Type.Integer({ minimum: 0, maximum: 1023 });

const TiersSchema = Type.Union(
  [Type.Literal('auto'), Type.Array(Type.Array(NodeIdSchema, { minItems: 1 }), { minItems: 2 })],
  {
    title: '"auto" or at least two lists of node ids, fast to slow, such as [[0, 1], [2, 3]]',
    default: 'auto',
    description: 'The memory tiers; "auto" takes the order of the kernel, or of kind, speed and distance.',
  },
);

export const LOG_LEVELS = ['trace', 'debug', 'info', 'warn', 'error', 'fatal', 'silent'] as const;

const LogLevelSchema = Type.Enum([...LOG_LEVELS], {
  default: 'info',
  description: 'Least severity of what is logged.',
});

const absolutePath = { pattern: '^/[^\\n\\u0000]*$', maxLength: 4096 };

/**
 * The configuration file: what the policy has, and what only the process itself has. The schema validates the file, gives the
 * defaults, the sample file and the reference.
 */
export const ConfigSchema = Type.Object(
  {
    ...PolicySchema.properties,
    engine: Type.Union([Type.Literal('auto'), ...ENGINE_NAMES.map((name) => Type.Literal(name))], {
      default: 'auto',
      description:
        'What moves memory: DAMON\'s schemes in the kernel ("damos", Linux 6.11), or tierd with move_pages(2) ("move_pages", Linux 5.18); "auto" takes damos where there is.',
    }),
    tiers: TiersSchema,
    ownMemory: Type.Union(
      OWN_MEMORY.map((name) => Type.Literal(name)),
      {
        default: 'any',
        description:
          'Where tierd\'s own memory goes: "slow" keeps it off the fastest tier as long as slower nodes have room.',
      },
    ),
    waitForDamon: Type.Boolean({
      default: false,
      description: 'When something else runs DAMON: wait until it is gone, instead of ending.',
    }),
    switchOffDamonStat: Type.Boolean({
      default: true,
      description:
        "Switch the kernel's DAMON_STAT off while tierd runs when it is in the way, and on again afterwards.",
    }),
    logLevel: LogLevelSchema,
    api: Type.Object(
      {
        socket: Type.String({
          ...absolutePath,
          maxLength: 107,
          default: '/run/tierd/tierd.sock',
          description: 'Unix socket of the REST API, for its owner and group only (0660).',
        }),
        readSocket: Type.Union([Type.Literal('off'), Type.String({ ...absolutePath, maxLength: 107 })], {
          default: '/run/tierd-read/tierd.sock',
          description:
            'Unix socket on which the API answers GET and HEAD only, for its owner and the group of its directory (0660).',
        }),
        tcpPort: Type.Union([Type.Literal('off'), Type.Integer({ minimum: 1, maximum: 65_535 })], {
          default: 'off',
          description: 'TCP port of 127.0.0.1 on which the API answers too, to requests with the token.',
        }),
        tokenFile: Type.String({
          ...absolutePath,
          default: '/etc/tierd/token',
          description: 'File with that token, readable by its owner only.',
        }),
      },
      { ...closed, description: 'How the REST API is reached.' },
    ),
    stateDirectory: Type.String({
      ...absolutePath,
      default: '/var/lib/tierd',
      description: 'Where tierd remembers what it must put back in order.',
    }),
  },
  closed,
);

export type Config = Static<typeof ConfigSchema>;
export type LogLevel = Config['logLevel'];
