import type { InterleaveBody } from '../views/interleave-view.ts';
import type { Column } from './columns.ts';
import { DEFAULT_COLUMNS, formatColumns } from './columns.ts';
import { wrapped } from './wrap.ts';

const COLUMNS: readonly Column[] = [
  { title: 'NODE', align: 'right' },
  { title: 'WEIGHT', align: 'right' },
  { title: 'RECOMMENDED', align: 'right' },
];

/** The weights, to read in a terminal: a line for each node, then who set them and where the recommendation comes from. */
export function interleaveText({ mode, weights, recommendation }: InterleaveBody, columns = DEFAULT_COLUMNS): string {
  const recommended = new Map(recommendation?.weights.map(({ nodeId, weight }) => [nodeId, weight]));
  const rows = weights.map(({ nodeId, weight }) => [
    String(nodeId),
    String(weight),
    String(recommended.get(nodeId) ?? '-'),
  ]);
  const lines = [
    ...formatColumns(COLUMNS, rows, columns),
    mode === 'auto' ? 'auto: the kernel derives the weights from bandwidths' : 'manual: the weights are as written',
    recommendation === undefined
      ? 'no recommendation: the bandwidth of some node is not known (POST /v1/probe measures it)'
      : `recommended by read bandwidth, source ${recommendation.source}`,
  ];
  return wrapped(lines, columns);
}
