import type { HistoryBody, PointBody } from '../views/history-view.ts';
import type { Column } from './columns.ts';
import { DEFAULT_COLUMNS, formatLine } from './columns.ts';
import { formatBytes, formatSeconds, formatShare } from './units.ts';

/** With the gaps between them 100 columns. */
const WIDTHS = [8, 6, 10, 10, 10, 10, 10, 10, 10];

const COLUMNS: readonly Column[] = [
  { title: 'UTC', align: 'left' },
  { title: 'USED', align: 'right' },
  { title: 'HOT', align: 'right' },
  { title: 'WARM', align: 'right' },
  { title: 'COLD', align: 'right' },
  { title: 'PROMOTED', align: 'right' },
  { title: 'QUOTA', align: 'right' },
  { title: 'DEMOTED', align: 'right' },
  { title: 'QUOTA', align: 'right' },
];

/** Lines that are formatted in one go. */
const CHUNK_LINES = 250;

/** The history to read in a terminal, a table for each node, piece by piece. QUOTA: the most that one pass might move. */
export function* historyText(
  { sinceSeconds, stepSeconds, nodes }: HistoryBody,
  columns = DEFAULT_COLUMNS,
): Generator<string> {
  if (nodes.length === 0) yield 'no history yet\n';
  const titles = formatLine(
    COLUMNS,
    WIDTHS,
    COLUMNS.map(({ title }) => title),
    columns,
  );
  for (const [index, { nodeId, promotedBytes, demotedBytes, points }] of nodes.entries()) {
    const moved = `promoted ${formatBytes(promotedBytes)}, demoted ${formatBytes(demotedBytes)}`;
    const span = `the last ${formatSeconds(sinceSeconds)} in steps of ${formatSeconds(stepSeconds)}`;
    const first = points.at(0);
    const from = first === undefined ? '' : `, from ${first.at.slice(0, 10)}`;
    yield `${index === 0 ? '' : '\n'}node ${nodeId}: ${moved} in ${span}${from}\n${titles}\n`;
    for (let start = 0; start < points.length; start += CHUNK_LINES) {
      const lines = points
        .slice(start, start + CHUNK_LINES)
        .map((point) => formatLine(COLUMNS, WIDTHS, cells(point), columns));
      yield `${lines.join('\n')}\n`;
    }
  }
}

function cells({ at, usedShare, temperatures, ...point }: PointBody): string[] {
  const bytes = (count: number | undefined): string => (count === undefined ? '-' : formatBytes(count));
  const quota = (count: number): string => (count === 0 ? 'off' : formatBytes(count));
  return [
    at.slice(11, 19),
    formatShare(usedShare),
    bytes(temperatures?.hotBytes),
    bytes(temperatures?.warmBytes),
    bytes(temperatures?.coldBytes),
    formatBytes(point.promotedBytes),
    quota(point.promotionQuotaBytes),
    formatBytes(point.demotedBytes),
    quota(point.demotionQuotaBytes),
  ];
}
