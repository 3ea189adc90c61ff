import type { Static } from 'typebox';
import Type from 'typebox';
import type { Policy } from '../../tiering/policy.ts';
import type { NodeSnapshot, Region } from '../../tiering/snapshot.ts';
import { accessRate, temperatureOf, temperaturesOf } from '../../tiering/temperature.ts';
import type { RegionSelection } from './region-selection.ts';
import { selectRegions } from './region-selection.ts';
import { TemperaturesSchema } from './temperatures-view.ts';

const RegionSchema = Type.Object({
  startAddress: Type.Number({ description: 'Physical, inclusive.' }),
  endAddress: Type.Number({ description: 'Physical, exclusive.' }),
  sizeBytes: Type.Number(),
  accessRate: Type.Number({ description: 'Share of the samples that saw an access, 0 to 1.' }),
  ageSeconds: Type.Number({ description: 'For how long the access rate has been about the same.' }),
  nrAccesses: Type.Integer({ description: 'Samples of the aggregation that saw an access.' }),
  age: Type.Integer({ description: 'Aggregations for which the access rate has been about the same.' }),
  temperature: Type.Union([Type.Literal('hot'), Type.Literal('warm'), Type.Literal('cold')]),
});

const NodeSnapshotSchema = Type.Object({
  nodeId: Type.Integer(),
  secondsOld: Type.Number({ description: 'Since the aggregation was read.' }),
  aggregationIntervalMs: Type.Number(),
  maxNrAccesses: Type.Integer({ description: 'nrAccesses of a region that is accessed all the time.' }),
  sizeBytes: Type.Number({ description: 'Of all regions, whatever the filters.' }),
  temperatures: TemperaturesSchema,
  nrRegions: Type.Integer({ description: 'Of the whole snapshot, whatever filters and limit leave of them.' }),
  nrMatching: Type.Integer({ description: 'Regions that the filters leave.' }),
  matchingBytes: Type.Number({ description: 'Size of the regions that the filters leave.' }),
  nrLeftOut: Type.Integer({ description: 'Regions of the whole snapshot that are not in `regions`.' }),
  regions: Type.Array(RegionSchema, { description: 'In the order of `sort`; by ascending address by default.' }),
});

/** GET /v1/snapshot. */
export const SnapshotSchema = Type.Object({
  nodes: Type.Array(NodeSnapshotSchema, { description: 'Monitored nodes by id; empty until the first aggregation.' }),
});

type SnapshotBody = Static<typeof SnapshotSchema>;
export type NodeHeading = Omit<SnapshotBody['nodes'][number], 'regions'>;
export type RegionBody = Static<typeof RegionSchema>;

export interface SnapshotOptions {
  readonly policy: Policy;
  /** The clock of `takenAtMs`. */
  readonly nowMs: number;
  readonly selection: RegionSelection;
}

/** One node of a snapshot. Its regions can be tens of thousands: they are worked out as they are read, some at a time. */
export interface NodeView {
  readonly heading: NodeHeading;
  readonly selection: RegionSelection;
  /** End of the highest region shown. */
  readonly endAddress: number;
  readonly largestBytes: number;
  regionChunks(): Iterable<RegionBody[]>;
}

/** About half a millisecond of work. */
const CHUNK_REGIONS = 250;

/** A snapshot with rates, ages in seconds, and temperatures under the policy. */
export function nodeView(snapshot: NodeSnapshot, { policy, nowMs, selection }: SnapshotOptions): NodeView {
  const temperatures = temperaturesOf(snapshot, policy);
  const { shown, nrMatching, matchingBytes } = selectRegions(snapshot, selection);
  const heading = {
    nodeId: snapshot.nodeId,
    secondsOld: Math.max(0, nowMs - snapshot.takenAtMs) / 1000,
    aggregationIntervalMs: snapshot.aggregationIntervalMs,
    maxNrAccesses: snapshot.maxNrAccesses,
    sizeBytes: temperatures.hotBytes + temperatures.warmBytes + temperatures.coldBytes,
    temperatures,
    nrRegions: snapshot.regions.length,
    nrMatching,
    matchingBytes,
    nrLeftOut: snapshot.regions.length - shown.length,
  };
  return {
    heading,
    selection,
    endAddress: shown.reduce((highest, { end }) => Math.max(highest, end), 0),
    largestBytes: shown.reduce((bytes, { start, end }) => Math.max(bytes, end - start), 0),
    *regionChunks() {
      for (let index = 0; index < shown.length; index += CHUNK_REGIONS) {
        const chunk = shown.slice(index, index + CHUNK_REGIONS);
        yield chunk.map((region) => regionView(region, snapshot, policy));
      }
    },
  };
}

/** The JSON text of a snapshot, piece by piece; each node is worked out when its turn comes. */
export function* snapshotJson(nodes: Iterable<NodeView>): Generator<string> {
  yield '{"nodes":[';
  let nodeSeparator = '';
  for (const { heading, regionChunks } of nodes) {
    yield `${nodeSeparator}${JSON.stringify(heading).slice(0, -1)},"regions":[`;
    let separator = '';
    for (const chunk of regionChunks()) {
      yield separator + JSON.stringify(chunk).slice(1, -1);
      separator = ',';
    }
    yield ']}';
    nodeSeparator = ',';
  }
  yield ']}';
}

function regionView(region: Region, snapshot: NodeSnapshot, policy: Policy): RegionBody {
  return {
    startAddress: region.start,
    endAddress: region.end,
    sizeBytes: region.end - region.start,
    accessRate: accessRate(region, snapshot),
    ageSeconds: (region.age * snapshot.aggregationIntervalMs) / 1000,
    nrAccesses: region.nrAccesses,
    age: region.age,
    temperature: temperatureOf(region, snapshot, policy),
  };
}
