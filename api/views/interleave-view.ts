import type { Static } from 'typebox';
import Type from 'typebox';

const NodeWeightSchema = Type.Object({
  nodeId: Type.Integer(),
  weight: Type.Integer({ description: 'Pages taken from the node in each round.' }),
});

/** GET and PATCH /v1/interleave. */
export const InterleaveSchema = Type.Object({
  mode: Type.Union([Type.Literal('auto'), Type.Literal('manual')], {
    description: 'auto: the kernel derives the weights from bandwidths; manual: they are what was written.',
  }),
  hasAuto: Type.Boolean({ description: 'The kernel can derive weights by itself (Linux 6.16).' }),
  weights: Type.Immutable(Type.Array(NodeWeightSchema)),
  recommendation: Type.Optional(
    Type.Object(
      {
        source: Type.Union([Type.Literal('hmat'), Type.Literal('probe')], {
          description: 'Where the bandwidths come from.',
        }),
        weights: Type.Immutable(Type.Array(NodeWeightSchema)),
      },
      { description: "In the ratio of the nodes' read bandwidths; absent when those are not known." },
    ),
  ),
});

export type InterleaveBody = Static<typeof InterleaveSchema>;
