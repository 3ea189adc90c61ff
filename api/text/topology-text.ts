import { formatList } from '../../numa/list-format.ts';
import type { TopologyBody } from '../views/topology-view.ts';
import type { Column } from './columns.ts';
import { DEFAULT_COLUMNS, formatColumns } from './columns.ts';
import { formatBytes } from './units.ts';
import { wrapped } from './wrap.ts';

const COLUMNS: readonly Column[] = [
  { title: 'NODE', align: 'right' },
  { title: 'TIER', align: 'right' },
  { title: 'KIND', align: 'left' },
  { title: 'CPUS', align: 'left' },
  { title: 'TOTAL', align: 'right' },
  { title: 'FREE', align: 'right' },
  { title: 'LATENCY', align: 'right' },
  { title: 'READ', align: 'right' },
  { title: 'FROM', align: 'left' },
  { title: 'HOT TO', align: 'right' },
  { title: 'COLD TO', align: 'right' },
];

const MAX_LIST_LENGTH = 14;
const MAX_CXL_LENGTH = 400;

type NodeBody = TopologyBody['nodes'][number];
type Cxl = NonNullable<NodeBody['cxl']>;

/** The topology to read in a terminal: a line a node, then what is behind CXL nodes. */
export function topologyText(topology: TopologyBody, columns = DEFAULT_COLUMNS): string {
  const { nodes, tierSource, rangeSource, leftAlone, warnings = [] } = topology;
  const cxl = nodes.flatMap(({ nodeId, cxl: first, furtherCxl = [] }) =>
    [first, ...furtherCxl].flatMap((region) => (region === undefined ? [] : [cxlLine(nodeId, region)])),
  );
  const lines = [
    ...formatColumns(
      COLUMNS,
      nodes.map((node) => cells(node, topology)),
      columns,
    ),
    '',
    `tiers: ${tierSource === 'kernel' ? "the kernel's" : tierSource}`,
    ...(rangeSource === 'memory-blocks'
      ? ['physical ranges: from memory blocks, for /proc/iomem hides addresses']
      : []),
    ...cxl,
    ...leftAlone.map(({ message }) => message),
    ...warnings,
  ];
  return wrapped(lines, columns);
}

function cells(node: NodeBody, { tiers, paths }: TopologyBody): string[] {
  const { nodeId, kind, cpus, totalBytes, freeBytes, performance, speedSource } = node;
  const tier = tiers.find(({ nodeIds }) => nodeIds.includes(nodeId));
  const path = paths.find((candidate) => candidate.nodeId === nodeId);
  const figure = (value: number | undefined, unit: string) =>
    value === undefined ? '-' : `${Math.round(value)} ${unit}`;
  return [
    String(nodeId),
    tier === undefined ? '-' : String(tier.rank),
    kind,
    shortened(formatList(cpus)),
    formatBytes(totalBytes),
    formatBytes(freeBytes),
    figure(performance?.readLatencyNs, 'ns'),
    figure(performance?.readBandwidthMiBps, 'MiB/s'),
    speedSource,
    shortened(path?.promotionTargets.join(',') ?? ''),
    shortened(path?.demotionTargets.join(',') ?? ''),
  ];
}

function shortened(list: string): string {
  if (list === '') return '-';
  return list.length <= MAX_LIST_LENGTH ? list : `${list.slice(0, MAX_LIST_LENGTH - 3)}...`;
}

function cxlLine(nodeId: number, { region, daxDevice, sizeBytes, interleaveWays, devices }: Cxl): string {
  const ways = interleaveWays === 1 ? '' : `, ${interleaveWays} ways interleaved`;
  const names = devices.map(({ name, sizeBytes: size }) => `${name} ${formatBytes(size)}`).join(', ');
  const dax = daxDevice === undefined ? '' : ` as ${daxDevice}`;
  return `node ${nodeId}: CXL ${region}, ${formatBytes(sizeBytes)}${dax}${ways}, on ${names}`.slice(0, MAX_CXL_LENGTH);
}
