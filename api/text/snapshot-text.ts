import { isFiltered } from '../views/region-selection.ts';
import type { NodeHeading, NodeView, RegionBody } from '../views/snapshot-view.ts';
import type { Column } from './columns.ts';
import { DEFAULT_COLUMNS, formatLine } from './columns.ts';
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

/**
 * A snapshot to read in a terminal, piece by piece: a heading for each node, then one line for each region. Each node is
 * worked out when its turn comes.
 */
export function* snapshotText(nodes: Iterable<NodeView>, columns = DEFAULT_COLUMNS): Generator<string> {
  let isEmpty = true;
  for (const node of nodes) {
    if (!isEmpty) yield '\n';
    isEmpty = false;
    yield* nodeText(node, columns);
  }
  if (isEmpty) yield 'no snapshot yet: the first aggregation is under way\n';
}

function* nodeText(node: NodeView, columns: number): Generator<string> {
  const widths = columnWidths(node);
  const titles = COLUMNS.map(({ title }) => title);
  yield `${formatHeading(node.heading, columns)}\n${formatLine(COLUMNS, widths, titles, columns)}\n`;
  for (const chunk of node.regionChunks()) {
    const lines = chunk.map((region) => formatLine(COLUMNS, widths, regionCells(region, node.largestBytes), columns));
    yield `${lines.join('\n')}\n`;
  }
  yield* leftOut(node);
}

/** What the filters and the limit leave out; nothing where they leave out nothing. */
function* leftOut({ heading, selection }: NodeView): Generator<string> {
  const { nrRegions, nrMatching, matchingBytes, nrLeftOut } = heading;
  if (isFiltered(selection)) {
    yield `${nrMatching} of ${nrRegions} regions match, ${formatBytes(matchingBytes)}\n`;
  }
  const beyondLimit = nrMatching + nrLeftOut - nrRegions;
  const rest = selection.sort === undefined || selection.sort === 'hottest' ? 'none of them hotter: ' : '';
  if (beyondLimit > 0) yield `${beyondLimit} more regions, ${rest}a larger limit shows them\n`;
}

/** Known before the cells are, because lines are written as they are made. */
function columnWidths({ endAddress }: NodeView): number[] {
  const longest = ['1023.9 MiB', '99.9 %', '9999.9 h', 'cold'].map((cell) => cell.length);
  return [formatAddressRange(endAddress, endAddress).length, ...longest, MAX_BAR_LENGTH];
}

function formatHeading(
  { nodeId, sizeBytes, nrRegions, temperatures, secondsOld }: NodeHeading,
  columns: number,
): string {
  const { hotBytes, warmBytes, coldBytes } = temperatures;
  const parts = [
    `node ${nodeId}: ${formatBytes(sizeBytes)} in ${nrRegions} regions`,
    `${formatBytes(hotBytes)} hot`,
    `${formatBytes(warmBytes)} warm`,
    `${formatBytes(coldBytes)} cold`,
    `${formatSeconds(secondsOld)} old`,
  ];
  return parts.join(', ').slice(0, columns);
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
