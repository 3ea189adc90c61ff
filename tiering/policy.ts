import type { Static } from 'typebox';
import Type from 'typebox';

/**
 * What the operator asks for. The schema is the single source: it validates the configuration file and PATCH /v1/policy,
 * gives the TypeScript type, the OpenAPI text, and the reference.
 */
const closed = { additionalProperties: false };

const MonitoringSchema = Type.Object(
  {
    samplingIntervalMs: Type.Union([Type.Literal('auto'), Type.Number({ minimum: 1, maximum: 10_000 })], {
      default: 'auto',
      description:
        'How often DAMON checks one page of every region for an access, in milliseconds; "auto" takes what tells hot from less hot memory best, and begins with 50.',
    }),
    aggregationIntervalMs: Type.Union([Type.Literal('auto'), Type.Number({ minimum: 20, maximum: 100_000 })], {
      default: 'auto',
      description:
        'How long DAMON counts accesses before it reports and migrates, in milliseconds; at least 5 sampling intervals, "auto" takes ten.',
    }),
    minSamplingIntervalMs: Type.Number({
      minimum: 1,
      maximum: 10_000,
      default: 20,
      description:
        'The shortest sampling interval that "auto" takes, in milliseconds: shorter ones cost more processor time.',
    }),
    maxSamplingIntervalMs: Type.Number({
      minimum: 1,
      maximum: 10_000,
      default: 1000,
      description: 'The longest sampling interval that "auto" takes, in milliseconds: longer ones see changes later.',
    }),
    minRegions: Type.Union([Type.Literal('auto'), Type.Integer({ minimum: 10, maximum: 10_000 })], {
      default: 'auto',
      description: 'Fewest regions per memory node; "auto" takes one per 4 MiB, 100 to 1000.',
    }),
    maxRegions: Type.Union([Type.Literal('auto'), Type.Integer({ minimum: 30, maximum: 100_000 })], {
      default: 'auto',
      description: 'Most regions per memory node, which bounds the cost; "auto" takes four times the fewest.',
    }),
  },
  { ...closed, description: 'How DAMON watches memory.' },
);

const PromotionSchema = Type.Object(
  {
    minAccessRate: Type.Number({
      minimum: 0.01,
      maximum: 1,
      default: 0.01,
      description:
        'A region of a slow node never goes up when fewer than this share of its samples saw an access; what counts as hot above it depends on what fast nodes can hold.',
    }),
    minAgeSeconds: Type.Number({
      minimum: 0,
      maximum: 3600,
      default: 0,
      description: 'For how long its access rate must have been stable, in seconds.',
    }),
    maxMiBPerSecond: Type.Number({
      minimum: 1,
      maximum: 1_000_000,
      default: 1024,
      description: 'Most MiB a second promoted into one fast node.',
    }),
  },
  { ...closed, description: 'What is moved up, and how fast.' },
);

const DemotionSchema = Type.Object(
  {
    maxAccessRate: Type.Number({
      minimum: 0,
      maximum: 1,
      default: 1,
      description:
        'A region of a fast node makes no room for hotter memory when more than this share of its samples saw an access; what counts as cold below it depends on what waits on slow nodes.',
    }),
    minAgeSeconds: Type.Number({
      minimum: 0,
      maximum: 3600,
      default: 5,
      description: 'For how long its access rate must have been stable, in seconds.',
    }),
    maxMiBPerSecond: Type.Number({
      minimum: 1,
      maximum: 1_000_000,
      default: 1024,
      description: 'Most MiB a second demoted out of one fast node.',
    }),
  },
  { ...closed, description: 'What is moved down, and how fast.' },
);

const MovePagesSchema = Type.Object(
  {
    settleSeconds: Type.Number({
      minimum: 0,
      maximum: 3600,
      default: 20,
      description:
        'A page that was moved is not moved back for so long, in seconds; hot memory sent away for an earlier policy may return at once.',
    }),
    maxCpuShare: Type.Number({
      minimum: 0.01,
      maximum: 1,
      default: 1,
      description:
        'Most processor time that tierd may take while it finds and moves pages, migrations by order included, as a share of one core; half of it goes to that at least, however much watching and answers take. 1 does not hold back migrations by order.',
    }),
  },
  {
    ...closed,
    description: 'How the move_pages engine works; with the damos engine only migrations by order keep to it.',
  },
);

/** The shape alone: the API's rules refuse, in words of their own, what no cgroup can be called. */
export const CGROUP_PATH = { pattern: '^/(?!(.*/)?\\.\\.(/|$))[^\\n]*$', maxLength: 4096 };

const cgroupPath = Type.String(CGROUP_PATH);

const CgroupsSchema = Type.Object(
  {
    include: Type.Array(cgroupPath, {
      default: [],
      maxItems: 64,
      description:
        'Only memory of these cgroups and those below them is moved, paths from the cgroup mount such as "/system.slice"; empty means all, and while none of those named is there nothing moves.',
    }),
    exclude: Type.Array(cgroupPath, {
      default: [],
      maxItems: 64,
      description: 'Memory of these cgroups and those below them is never promoted or demoted.',
    }),
  },
  { ...closed, description: 'Whose memory is moved.' },
);

export const PolicySchema = Type.Object(
  {
    fastUtilization: Type.Number({
      minimum: 0.05,
      maximum: 0.99,
      default: 0.95,
      description:
        'Share of a fast node kept in use at most: hot memory is promoted up to it, beyond it the coldest is demoted.',
    }),
    hotShare: Type.Number({
      minimum: 0,
      maximum: 1,
      default: 1,
      description:
        'Share of the hot memory kept on fast nodes; below 1 the rest stays on slow nodes, or goes there, so that the bandwidth of both is used.',
    }),
    headroomMiB: Type.Union([Type.Literal('auto'), Type.Integer({ minimum: 0, maximum: 10_000_000 })], {
      default: 'auto',
      description:
        'Free memory kept on every fast node whatever fastUtilization says, in MiB; never less than its high watermark and a margin, which is what "auto" takes.',
    }),
    promotion: PromotionSchema,
    demotion: DemotionSchema,
    monitoring: MonitoringSchema,
    movePages: MovePagesSchema,
    cgroups: CgroupsSchema,
    onSwitchOff: Type.Union([Type.Literal('recover'), Type.Literal('stepAside')], {
      default: 'recover',
      description:
        'When somebody switches tierd\'s kdamonds off: "recover" switches them on again, once nothing else runs DAMON; "stepAside" leaves DAMON alone until `tierd resume`.',
    }),
    dryRun: Type.Boolean({
      default: false,
      description: 'Watch and decide, log and report, but promote and demote nothing.',
    }),
  },
  closed,
);

export type Policy = Static<typeof PolicySchema>;
export type OnSwitchOff = Policy['onSwitchOff'];

export const DEFAULT_POLICY: Policy = {
  fastUtilization: 0.95,
  hotShare: 1,
  headroomMiB: 'auto',
  promotion: { minAccessRate: 0.01, minAgeSeconds: 0, maxMiBPerSecond: 1024 },
  demotion: { maxAccessRate: 1, minAgeSeconds: 5, maxMiBPerSecond: 1024 },
  monitoring: {
    samplingIntervalMs: 'auto',
    aggregationIntervalMs: 'auto',
    minSamplingIntervalMs: 20,
    maxSamplingIntervalMs: 1000,
    minRegions: 'auto',
    maxRegions: 'auto',
  },
  movePages: { settleSeconds: 20, maxCpuShare: 1 },
  cgroups: { include: [], exclude: [] },
  onSwitchOff: 'recover',
  dryRun: false,
};
