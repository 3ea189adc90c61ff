import type { Static } from 'typebox';
import Type from 'typebox';
import type { CgroupSurvey, ProcessSurvey } from '../../tiering/survey/survey.ts';

const PlacementKeys = {
  sizeBytes: Type.Number({ description: 'On all nodes.' }),
  nodes: Type.Immutable(
    Type.Array(
      Type.Object({
        nodeId: Type.Integer(),
        sizeBytes: Type.Number(),
        hotBytes: Type.Optional(
          Type.Number({ description: 'Of that, in hot regions; of slow nodes only, once they have been watched.' }),
        ),
      }),
      { description: 'Nodes where there is something, by id.' },
    ),
  ),
  hotOnSlowBytes: Type.Optional(Type.Number({ description: 'Hot memory on all slow nodes.' })),
};

const ProcessSchema = Type.Object({
  pid: Type.Integer(),
  name: Type.String({ description: 'As in /proc/PID/comm.' }),
  cgroup: Type.Optional(Type.String({ description: 'Path from the cgroup mount.' })),
  ...PlacementKeys,
});

/** GET /v1/processes. */
export const ProcessesSchema = Type.Object({
  secondsOld: Type.Number({ description: 'Since the processes were looked at.' }),
  nrProcesses: Type.Integer({ description: 'Of those looked at, whatever `limit` leaves of them.' }),
  unread: Type.Object(
    { processes: Type.Integer(), residentBytes: Type.Number() },
    { description: 'Processes that the time did not suffice for, or that may not be read.' },
  ),
  processes: Type.Array(ProcessSchema, {
    description:
      'Those with most hot memory on slow nodes first, of equals the largest. Shared memory counts with each.',
  }),
});

const CgroupSchema = Type.Object({
  path: Type.String({ description: 'From the cgroup mount.' }),
  ...PlacementKeys,
});

/** GET /v1/cgroups. */
export const CgroupsSchema = Type.Object({
  secondsOld: Type.Number({ description: 'Since the cgroups were looked at.' }),
  problem: Type.Optional(Type.String({ description: 'Why there are none.' })),
  nrCgroups: Type.Integer({ description: 'Of those looked at, whatever `limit` leaves of them.' }),
  isPartial: Type.Boolean({ description: 'True: the host has more than were looked at.' }),
  unchargedHotBytes: Type.Optional(
    Type.Number({ description: "Hot memory on slow nodes that no cgroup is charged with: the kernel's, or free." }),
  ),
  cgroups: Type.Array(CgroupSchema, {
    description: 'Each with all below it: those with most hot memory on slow nodes first, of equals the largest.',
  }),
});

export type ProcessesBody = Static<typeof ProcessesSchema>;
export type CgroupsBody = Static<typeof CgroupsSchema>;

interface ViewOptions {
  /** The clock of `takenAtMs`. */
  readonly nowMs: number;
  /** Most shown, of the first. */
  readonly limit: number;
}

/** The processes to answer with. */
export function processesView(survey: ProcessSurvey, { nowMs, limit }: ViewOptions): ProcessesBody {
  return {
    secondsOld: Math.max(0, nowMs - survey.takenAtMs) / 1000,
    nrProcesses: survey.processes.length,
    unread: survey.unread,
    processes: survey.processes.slice(0, limit),
  };
}

/** The cgroups to answer with. */
export function cgroupsView(survey: CgroupSurvey, { nowMs, limit }: ViewOptions): CgroupsBody {
  const { problem, unchargedHotBytes } = survey;
  return {
    secondsOld: Math.max(0, nowMs - survey.takenAtMs) / 1000,
    ...(problem !== undefined && { problem }),
    nrCgroups: survey.cgroups.length,
    isPartial: survey.isPartial,
    ...(unchargedHotBytes !== undefined && { unchargedHotBytes }),
    cgroups: survey.cgroups.slice(0, limit),
  };
}
