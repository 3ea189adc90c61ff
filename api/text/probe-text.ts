import type { ProbeBody } from '../views/probe-view.ts';
import type { Column } from './columns.ts';
import { DEFAULT_COLUMNS, formatColumns } from './columns.ts';
import { formatBytes } from './units.ts';
import { wrapped } from './wrap.ts';

const COLUMNS: readonly Column[] = [
  { title: 'NODE', align: 'right' },
  { title: 'LATENCY', align: 'right' },
  { title: 'READ', align: 'right' },
  { title: 'WRITE', align: 'right' },
  { title: 'BUFFER', align: 'right' },
  { title: 'FROM CPUS OF', align: 'left' },
];

/** What was measured, to read in a terminal: a line for each node, then those that were not measured. */
export function probeText({ nodes, skipped }: ProbeBody, columns = DEFAULT_COLUMNS): string {
  const rows = nodes.map(({ nodeId, readLatencyNs, readBandwidthMiBps, writeBandwidthMiBps, ...node }) => [
    String(nodeId),
    `${readLatencyNs.toFixed(1)} ns`,
    `${Math.round(readBandwidthMiBps)} MiB/s`,
    `${Math.round(writeBandwidthMiBps)} MiB/s`,
    formatBytes(node.bufferBytes),
    `node ${node.initiatorNodeIds[0]}`,
  ]);
  const lines = [
    ...(nodes.length === 0 ? [] : formatColumns(COLUMNS, rows, columns)),
    ...skipped.map(({ nodeId, reason }) => `node ${nodeId} was not measured: ${reason}`),
  ];
  return wrapped(lines, columns);
}
