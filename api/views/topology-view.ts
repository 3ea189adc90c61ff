import type { Static } from 'typebox';
import Type from 'typebox';
import { nodesLeftAlone } from '../../numa/left-alone.ts';
import type { MemoryNode, Topology } from '../../numa/topology.ts';
import { LeftAloneSchema } from './left-alone-view.ts';

const RangeSchema = Type.Object({ startAddress: Type.Number(), endAddress: Type.Number(), sizeBytes: Type.Number() });

const PerformanceSchema = Type.Object(
  {
    source: Type.Union([Type.Literal('hmat'), Type.Literal('probe')], {
      description: 'hmat: firmware tells (HMAT, CDAT); probe: measured by POST /v1/probe.',
    }),
    readLatencyNs: Type.Optional(Type.Number()),
    writeLatencyNs: Type.Optional(Type.Number()),
    readBandwidthMiBps: Type.Optional(Type.Number()),
    writeBandwidthMiBps: Type.Optional(Type.Number()),
    initiatorNodeIds: Type.Optional(
      Type.Immutable(
        Type.Array(Type.Integer(), { description: 'Nodes whose CPUs are the nearest, for whom the figures hold.' }),
      ),
    ),
  },
  {
    description: "Seen from the nearest initiator; here firmware's figures, or where there are none what was measured.",
  },
);

const CxlSchema = Type.Object(
  {
    region: Type.String(),
    daxDevice: Type.Optional(Type.String()),
    sizeBytes: Type.Number(),
    interleaveWays: Type.Integer(),
    interleaveGranularityBytes: Type.Optional(Type.Integer()),
    devices: Type.Immutable(
      Type.Array(
        Type.Object({
          name: Type.String(),
          sizeBytes: Type.Number(),
          serial: Type.Optional(Type.String()),
          numaNode: Type.Optional(Type.Integer()),
        }),
      ),
    ),
  },
  { description: 'The CXL region behind the node.' },
);

const NodeSchema = Type.Object({
  nodeId: Type.Integer(),
  kind: Type.Union([Type.Literal('dram'), Type.Literal('cxl'), Type.Literal('memory-only')]),
  driver: Type.Optional(
    Type.String({ description: "The driver that added the memory, such as kmem, or a GPU's; absent: plain memory." }),
  ),
  cpus: Type.Immutable(Type.Array(Type.Integer())),
  totalBytes: Type.Number(),
  freeBytes: Type.Number(),
  highWatermarkBytes: Type.Number({
    description: 'Below this much free memory the kernel migrates nothing into the node.',
  }),
  distances: Type.Array(Type.Object({ nodeId: Type.Integer(), distance: Type.Integer() }), {
    description: 'SLIT; 10 is local.',
  }),
  performance: Type.Optional(PerformanceSchema),
  measured: Type.Optional(
    Type.Object(PerformanceSchema.properties, { description: 'What was measured, whatever firmware tells.' }),
  ),
  speedSource: Type.Union([Type.Literal('hmat'), Type.Literal('probe'), Type.Literal('distance')], {
    description: 'What says how fast the node is; distance: nothing but distances and kind.',
  }),
  ranges: Type.Array(RangeSchema, { description: 'Online physical memory, end exclusive.' }),
  cxl: Type.Optional(CxlSchema),
  furtherCxl: Type.Optional(
    Type.Immutable(Type.Array(CxlSchema, { description: 'Further regions, where several make up one node.' })),
  ),
});

/** GET /v1/topology. */
export const TopologySchema = Type.Object({
  nodes: Type.Array(NodeSchema),
  tiers: Type.Immutable(
    Type.Array(
      Type.Object({
        rank: Type.Integer({ description: '0 is the fastest.' }),
        nodeIds: Type.Immutable(Type.Array(Type.Integer())),
      }),
    ),
  ),
  tierSource: Type.Union([Type.Literal('kernel'), Type.Literal('derived'), Type.Literal('configured')], {
    description: 'Where the order of the tiers comes from.',
  }),
  paths: Type.Immutable(
    Type.Array(
      Type.Object({
        nodeId: Type.Integer(),
        promotionTargets: Type.Immutable(
          Type.Array(Type.Integer(), {
            description: 'Nodes that hot memory may go to, the preferred first: the next where that has no room.',
          }),
        ),
        demotionTargets: Type.Immutable(
          Type.Array(Type.Integer(), { description: 'Nodes that cold memory may go to, in the same order.' }),
        ),
      }),
      {
        description:
          'Where memory goes from each node. What that gains or costs is in `performance` of the nodes at both ends, with its source (`speedSource`): ' +
          'latency and bandwidth are figures of a CPU and a node; of copying from node to node neither firmware nor the probe tells any.',
      },
    ),
  ),
  rangeSource: Type.Optional(
    Type.Union([Type.Literal('iomem'), Type.Literal('memory-blocks')], {
      description: 'memory-blocks: /proc/iomem hid its addresses, and the ranges may hold holes.',
    }),
  ),
  leftAlone: LeftAloneSchema,
  warnings: Type.Optional(
    Type.Immutable(
      Type.Array(Type.String(), {
        description: 'What the kernel says that could not be understood and counts as absent.',
      }),
    ),
  ),
});

export type TopologyBody = Static<typeof TopologySchema>;

/** The topology with maps as lists, which is what JSON has. */
export function topologyView(topology: Topology): TopologyBody {
  return { ...topology, leftAlone: nodesLeftAlone(topology), nodes: topology.nodes.map(nodeView) };
}

function nodeView(node: MemoryNode): TopologyBody['nodes'][number] {
  return {
    ...node,
    speedSource: node.performance?.source ?? 'distance',
    distances: [...node.distances].map(([nodeId, distance]) => ({ nodeId, distance })),
    ranges: node.ranges.map(({ start, end }) => ({ startAddress: start, endAddress: end, sizeBytes: end - start })),
  };
}
