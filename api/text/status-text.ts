import type { StatusBody } from '../views/status-view.ts';
import type { Column } from './columns.ts';
import { DEFAULT_COLUMNS, formatColumns } from './columns.ts';
import { formatBytes, formatSeconds, formatShare } from './units.ts';
import { wrapped } from './wrap.ts';

const COLUMNS: readonly Column[] = [
  { title: 'NODE', align: 'right' },
  { title: 'TIER', align: 'right' },
  { title: 'TOTAL', align: 'right' },
  { title: 'USED', align: 'right' },
  { title: 'TARGET', align: 'right' },
  { title: 'HOT', align: 'right' },
  { title: 'WARM', align: 'right' },
  { title: 'COLD', align: 'right' },
  { title: 'MOVES', align: 'left' },
];

type NodeBody = StatusBody['nodes'][number];

/** The status to read in a terminal. */
export function statusText(status: StatusBody, columns = DEFAULT_COLUMNS): string {
  const lines = [
    `tierd ${status.version} on ${status.host.hostname} (Linux ${status.host.kernel})`,
    `${status.state}${status.pausedSince === undefined ? '' : ` since ${status.pausedSince}`}${status.dryRun ? ', dry run' : ''}, engine ${status.engine}, up ${formatSeconds(status.uptimeSeconds)}`,
    ...(status.problem === undefined ? [] : [`problem: ${status.problem}`]),
    ...(status.pauseReason === undefined ? [] : [`paused: ${status.pauseReason}`]),
    ...(status.scopeProblem === undefined ? [] : [`warning: ${status.scopeProblem}`]),
    ...(status.regionLimit === undefined ? [] : [`warning: ${status.regionLimit}`]),
    ...status.leftAlone.map(({ message }) => `warning: ${message}`),
    ...(status.waitingFor === undefined ? [] : [`waiting for ${status.waitingFor}`]),
    ...(status.receiptProblem === undefined ? [] : [`receipt not saved: ${status.receiptProblem}`]),
    ...(status.settingsProblem === undefined ? [] : [`not saved: ${status.settingsProblem}`]),
    `promoted ${moved(status.promotedBytes, status.promotedBytesPerSecond)}`,
    `demoted  ${moved(status.demotedBytes, status.demotedBytesPerSecond)}`,
    `waiting  ${formatBytes(status.hotBytesWaiting)} hot on slow nodes`,
    ...(status.pages === undefined ? [] : [pages(status.pages)]),
    '',
    ...formatColumns(COLUMNS, status.nodes.map(nodeCells), columns),
    ...decisions(status.nodes),
  ];
  return wrapped(lines, columns);
}

function moved(bytes: number, bytesPerSecond: number): string {
  return `${formatBytes(bytes)}, now ${formatBytes(Math.round(bytesPerSecond))}/s`;
}

function pages({ failedBytes, heldBackBytes, pingPongBytes, stuckPids }: NonNullable<StatusBody['pages']>): string {
  const failed = Object.entries(failedBytes).map(([reason, bytes]) => `${formatBytes(bytes)} ${reason}`);
  return [
    `pages    not moved ${failed.length === 0 ? formatBytes(0) : failed.join(' and ')}`,
    `held back ${formatBytes(heldBackBytes)}`,
    `came back soon ${formatBytes(pingPongBytes)}`,
    ...(stuckPids.length === 0 ? [] : [`nothing moves of process ${stuckPids.join(', ')}`]),
  ].join(', ');
}

function nodeCells({ nodeId, tier, totalBytes, usedShare, targetShare, temperatures, ...paths }: NodeBody): string[] {
  const bytes = (count: number | undefined): string => (count === undefined ? '-' : formatBytes(count));
  const moves = [
    ...(paths.promotionTarget === undefined ? [] : [`hot to ${paths.promotionTarget}`]),
    ...(paths.demotionTarget === undefined ? [] : [`cold to ${paths.demotionTarget}`]),
  ];
  return [
    String(nodeId),
    String(tier),
    formatBytes(totalBytes),
    formatShare(usedShare),
    targetShare === undefined ? '-' : formatShare(targetShare),
    bytes(temperatures?.hotBytes),
    bytes(temperatures?.warmBytes),
    bytes(temperatures?.coldBytes),
    moves.join(', '),
  ];
}

function decisions(nodes: readonly NodeBody[]): string[] {
  const said = nodes.filter(({ decision }) => decision !== undefined);
  return said.length === 0 ? [] : ['', ...said.map(({ nodeId, decision }) => `node ${nodeId}: ${decision}`)];
}
