import { METRICS, REQUEST_DURATION } from '../../api/metrics/definitions.ts';
import { markdownTable } from '../markdown-table.ts';
import { code, page } from './page.ts';

/** docs/reference/metrics.md. */
export function metricsPage(): string {
  const all = [...METRICS, { ...REQUEST_DURATION, type: 'histogram' }];
  const rows = all.map(({ name, type, labelNames, help }) => [code(name), type, labelNames.join(', '), help]);
  return page(
    'Metrics',
    'the definitions that GET /metrics answers from',
    '`GET /metrics` answers in the text format of Prometheus.',
    markdownTable(['Metric', 'Type', 'Labels', 'Meaning'], rows),
  );
}
