import type { NodeHeading, NodeView, RegionBody } from '../views/snapshot-view.ts';
import type { Column } from './columns.ts';
import { formatLine, MAX_COLUMNS } from './columns.ts';
import { shadeBar } from './shade-bar.ts';
import { formatAddressRange, formatBytes, formatSeconds, formatShare } from './units.ts';

const MAX_BAR_LENGTH = 32;

const COLUMNS: readonly Column[] = [
  { title: 'ADDRESSES', align: 'left' },
  { title: 'SIZE', align: 'right' },
  { title: 'RATE', align: 'right' },
  { title: 'AGE', align: 'right' },
  { title: 'IS', align: 'left' },
  { title: 'SHADE: RATE, LENGTH: SIZE', align: 'left' },
];

/** A snapshot to read in a terminal, piece by piece: a heading for each node, then one line for each region. */
export function* snapshotText(nodes: readonly NodeView[]): Generator<string> {
  if (nodes.length === 0) yield 'no snapshot yet: the first aggregation is under way\n';
  for (const [index, node] of nodes.entries()) {
    if (index > 0) yield '\n';
    yield* nodeText(node);
  }
}

function* nodeText(node: NodeView): Generator<string> {
  const widths = columnWidths(node);
  const titles = COLUMNS.map(({ title }) => title);
  yield `${formatHeading(node.heading)}\n${formatLine(COLUMNS, widths, titles)}\n`;
  for (const chunk of node.regionChunks()) {
    const lines = chunk.map((region) => formatLine(COLUMNS, widths, regionCells(region, node.largestBytes)));
    yield `${lines.join('\n')}\n`;
  }
  const hidden = node.heading.nrRegions - node.nrShown;
  if (hidden > 0) yield `${hidden} more regions, none of them hotter: a larger limit shows them\n`;
}

/** Known before the cells are, because lines are written as they are made. */
function columnWidths({ endAddress }: NodeView): number[] {
  const longest = ['1023.9 MiB', '99.9 %', '9999.9 h', 'cold'].map((cell) => cell.length);
  return [formatAddressRange(endAddress, endAddress).length, ...longest, MAX_BAR_LENGTH];
}

function formatHeading({ nodeId, sizeBytes, nrRegions, temperatures, secondsOld }: NodeHeading): string {
  const { hotBytes, warmBytes, coldBytes } = temperatures;
  const parts = [
    `node ${nodeId}: ${formatBytes(sizeBytes)} in ${nrRegions} regions`,
    `${formatBytes(hotBytes)} hot`,
    `${formatBytes(warmBytes)} warm`,
    `${formatBytes(coldBytes)} cold`,
    `${formatSeconds(secondsOld)} old`,
  ];
  return parts.join(', ').slice(0, MAX_COLUMNS);
}

function regionCells(region: RegionBody, largestBytes: number): string[] {
  return [
    formatAddressRange(region.startAddress, region.endAddress),
    formatBytes(region.sizeBytes),
    formatShare(region.accessRate),
    formatSeconds(region.ageSeconds),
    region.temperature,
    shadeBar(region.accessRate, region.sizeBytes, largestBytes, MAX_BAR_LENGTH),
  ];
}
