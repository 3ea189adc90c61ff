import type { Static } from 'typebox';
import Type from 'typebox';
import type { Bounds } from '../../tiering/scheme.ts';
import type { KdamondView, SchemeView } from '../../tiering/service.ts';

const BoundsSchema = Type.Object({
  min: Type.Number(),
  max: Type.Union([Type.Number(), Type.Null()], { description: 'null: no upper bound.' }),
});

const FilterSchema = Type.Object({
  type: Type.Union([Type.Literal('young'), Type.Literal('memcg'), Type.Literal('addr')]),
  matching: Type.Boolean(),
  allow: Type.Boolean(),
  memcgPath: Type.Optional(Type.String()),
  range: Type.Optional(Type.Object({ start: Type.Number(), end: Type.Number() }, { description: 'Of type addr.' })),
});

const StatsSchema = Type.Object(
  {
    nrTried: Type.Number(),
    triedBytes: Type.Number(),
    nrApplied: Type.Number(),
    appliedBytes: Type.Number(),
    quotaExceeds: Type.Number(),
    filterPassedBytes: Type.Optional(
      Type.Number({ description: 'Of the bytes tried, what its filters let pass; absent before Linux 6.14.' }),
    ),
    passes: Type.Optional(Type.Number({ description: 'That came to the last region; absent before Linux 7.0.' })),
  },
  { description: 'Since the kdamond started.' },
);

const SchemeSchema = Type.Object({
  index: Type.Integer(),
  name: Type.String(),
  action: Type.String(),
  targetNid: Type.Optional(Type.Integer()),
  pattern: Type.Object({
    sizeBytes: BoundsSchema,
    nrAccesses: BoundsSchema,
    age: BoundsSchema,
  }),
  applyIntervalUs: Type.Optional(
    Type.Number({ description: 'Between two passes; the aggregation interval when absent.' }),
  ),
  quota: Type.Object({
    bytes: Type.Number({ description: 'Most bytes tried in one pass; 1 means off.' }),
    resetIntervalMs: Type.Number(),
    weights: Type.Object({ size: Type.Number(), nrAccesses: Type.Number(), age: Type.Number() }),
    goal: Type.Optional(
      Type.Object(
        { metric: Type.String(), nodeId: Type.Integer(), targetBp: Type.Number() },
        { description: 'Nothing moves while the kernel finds it met; targetBp in basis points.' },
      ),
    ),
  }),
  maxPasses: Type.Optional(
    Type.Number({
      description: 'Passes after which the kernel ends it unless it is renewed; absent before Linux 7.0.',
    }),
  ),
  filters: Type.Immutable(Type.Array(FilterSchema)),
  stats: Type.Optional(StatsSchema),
  effectiveQuotaBytes: Type.Optional(
    Type.Number({
      description:
        'Most bytes tried in one pass as the kernel has it, some seconds old; absent before Linux 6.9, which does not tell.',
    }),
  ),
});

const KdamondSchema = Type.Object({
  index: Type.Integer(),
  pid: Type.Integer(),
  nodeId: Type.Integer(),
  samplingIntervalUs: Type.Number(),
  aggregationIntervalUs: Type.Number(),
  minRegions: Type.Integer(),
  maxRegions: Type.Integer(),
  nrRegions: Type.Integer({ description: 'Regions in the newest snapshot.' }),
  schemes: Type.Array(SchemeSchema),
});

/** GET /v1/schemes. */
export const SchemesSchema = Type.Object({
  kdamonds: Type.Array(KdamondSchema, { description: 'The kdamonds that tierd runs, one for each monitored node.' }),
});

export type SchemesBody = Static<typeof SchemesSchema>;
type SchemeBody = SchemesBody['kdamonds'][number]['schemes'][number];

/** The kdamonds with each scheme in one object. */
export function schemesView(kdamonds: readonly KdamondView[]): SchemesBody {
  return { kdamonds: kdamonds.map((kdamond) => ({ ...kdamond, schemes: kdamond.schemes.map(schemeView) })) };
}

function schemeView({ index, scheme, stats, effectiveQuotaBytes }: SchemeView): SchemeBody {
  const { pattern } = scheme;
  const body = {
    index,
    ...scheme,
    pattern: {
      sizeBytes: boundsView(pattern.sizeBytes),
      nrAccesses: boundsView(pattern.nrAccesses),
      age: boundsView(pattern.age),
    },
  };
  return { ...body, ...(stats && { stats }), ...(effectiveQuotaBytes !== undefined && { effectiveQuotaBytes }) };
}

/** "No bound" is written to the kernel as the largest number there is; JSON's readers should not meet 18446744073709552000. */
function boundsView({ min, max }: Bounds): { min: number; max: number | null } {
  return { min, max: max <= Number.MAX_SAFE_INTEGER ? max : null };
}
