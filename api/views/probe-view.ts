import type { Static } from 'typebox';
import Type from 'typebox';

/** One node's figures. */
export const ProbeResultSchema = Type.Object({
  nodeId: Type.Integer(),
  readLatencyNs: Type.Number({ description: 'Of one load that waits for the one before, at random addresses.' }),
  readBandwidthMiBps: Type.Number({ description: 'Sequential, of one thread.' }),
  writeBandwidthMiBps: Type.Number({ description: 'Sequential, of one thread.' }),
  bufferBytes: Type.Number(),
  initiatorNodeIds: Type.Immutable(
    Type.Array(Type.Integer(), { description: 'Nodes nearest to it that have CPUs; those of the first measured.' }),
  ),
  takenAt: Type.String({ description: 'ISO 8601.' }),
});

/** POST /v1/probe, and `tierd probe --json`. */
export const ProbeSchema = Type.Object({
  nodes: Type.Immutable(Type.Array(ProbeResultSchema)),
  skipped: Type.Immutable(
    Type.Array(Type.Object({ nodeId: Type.Integer(), reason: Type.String() }), {
      description: 'Nodes that were not measured.',
    }),
  ),
});

export type ProbeBody = Static<typeof ProbeSchema>;
