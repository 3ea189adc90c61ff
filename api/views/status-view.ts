import type { Static } from 'typebox';
import Type from 'typebox';
import { nodesLeftAlone } from '../../numa/left-alone.ts';
import { ENGINE_STATES } from '../../tiering/engine-state.ts';
import type { TieringService } from '../../tiering/service.ts';
import type { Host } from '../host.ts';
import { HostSchema } from '../host.ts';
import type { OperatorSettings } from '../policy/operator-settings.ts';
import { LeftAloneSchema } from './left-alone-view.ts';
import { TemperaturesSchema } from './temperatures-view.ts';

const NodeStatusSchema = Type.Object({
  nodeId: Type.Integer(),
  tier: Type.Integer({ description: '0 is the fastest.' }),
  totalBytes: Type.Number(),
  freeBytes: Type.Number(),
  usedShare: Type.Number({ description: '0 to 1.' }),
  targetShare: Type.Optional(
    Type.Number({
      description: 'On nodes of the fastest tier: the used share at which demotion begins, after headroom.',
    }),
  ),
  temperatures: Type.Optional(TemperaturesSchema),
  promotionTarget: Type.Optional(
    Type.Integer({ description: 'Node that hot memory goes to now: of those in the topology the first with room.' }),
  ),
  demotionTarget: Type.Optional(
    Type.Integer({ description: 'Node that cold memory goes to now: of those in the topology the first with room.' }),
  ),
  decision: Type.Optional(Type.String({ description: 'What is done with this node, and why.' })),
});

/** GET /v1/status. */
export const StatusSchema = Type.Object({
  version: Type.String({ description: 'Version of tierd.' }),
  state: Type.Enum([...ENGINE_STATES]),
  problem: Type.Optional(Type.String({ description: 'What keeps the engine from working, and the way out.' })),
  waitingFor: Type.Optional(
    Type.String({ description: 'While starting: what it waits for, beside the first snapshot.' }),
  ),
  receiptProblem: Type.Optional(
    Type.String({
      description: 'Why what is known of the running kdamonds is not on disk, and what a crash would mean meanwhile.',
    }),
  ),
  scopeProblem: Type.Optional(
    Type.String({ description: "Which of the policy's cgroups match nothing, and what that means." }),
  ),
  regionLimit: Type.Optional(
    Type.String({ description: 'Why nodes are watched in fewer regions than the policy says.' }),
  ),
  engine: Type.String(),
  dryRun: Type.Boolean(),
  pausedSince: Type.Optional(Type.String({ description: 'ISO 8601; since when nothing moves, by order.' })),
  pauseReason: Type.Optional(
    Type.String({ description: 'Why it started paused although nobody is known to have asked, and the way out.' }),
  ),
  settingsProblem: Type.Optional(
    Type.String({ description: 'Why what was set over REST is in force but would not survive a restart.' }),
  ),
  startedAt: Type.String({ description: 'ISO 8601.' }),
  uptimeSeconds: Type.Number(),
  nodes: Type.Immutable(Type.Array(NodeStatusSchema)),
  leftAlone: LeftAloneSchema,
  promotedBytes: Type.Number({ description: 'Since start, over all nodes.' }),
  demotedBytes: Type.Number({ description: 'Since start, over all nodes.' }),
  promotedBytesPerSecond: Type.Number({ description: 'Over the last seconds.' }),
  demotedBytesPerSecond: Type.Number({ description: 'Over the last seconds.' }),
  hotBytesWaiting: Type.Number({ description: 'Hot bytes on nodes that have a faster one above them.' }),
  pingPongBytes: Type.Number({ description: 'Bytes that came straight back after a demotion, estimated since start.' }),
  traceLosses: Type.Object(
    {
      lostEvents: Type.Number({ description: "That the kernel's buffer had no room for." }),
      droppedAggregations: Type.Number({ description: 'That were not whole.' }),
    },
    { description: 'What the access trace has lost since start.' },
  ),
  pages: Type.Optional(
    Type.Object(
      {
        movedBytes: Type.Number(),
        failedBytes: Type.Record(Type.String(), Type.Number(), {
          description: 'Bytes that did not move, by errno name such as "EBUSY".',
        }),
        heldBackBytes: Type.Number({ description: 'Not moved back because they had been moved shortly before.' }),
        pingPongBytes: Type.Number({ description: 'Moved back later than that, yet soon.' }),
        pageMapBytes: Type.Number({ description: "Memory that knowing the processes' page maps takes." }),
        stuckPids: Type.Immutable(
          Type.Array(Type.Number(), {
            description:
              'Processes of which nothing moves, as when their memory is pinned: left alone, for longer each time.',
          }),
        ),
      },
      { description: 'What became of single pages since start; only the move_pages engine knows.' },
    ),
  ),
  host: HostSchema,
});

export type StatusBody = Static<typeof StatusSchema>;

/** The engine's status with what the process knows of itself. */
export function statusView(
  service: TieringService,
  settings: Pick<OperatorSettings, 'saveProblem' | 'pauseReason'>,
  version: string,
  host: Host,
): StatusBody {
  const { saveProblem, pauseReason } = settings;
  return {
    version,
    ...service.status(),
    leftAlone: nodesLeftAlone(service.topology()),
    ...(pauseReason !== undefined && { pauseReason }),
    ...(saveProblem !== undefined && { settingsProblem: saveProblem }),
    host,
  };
}
