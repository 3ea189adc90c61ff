import type { IndexView } from '../views/index-view.ts';
import type { Column } from './columns.ts';
import { DEFAULT_COLUMNS, formatColumns } from './columns.ts';

const COLUMNS: readonly Column[] = [
  { title: 'PATH', align: 'left' },
  { title: 'METHODS', align: 'left' },
  { title: 'WHAT IT IS', align: 'left' },
];

/** The index for a terminal. */
export function indexText({ version, description, resources }: IndexView, columns = DEFAULT_COLUMNS): string {
  const rows = resources.map(({ path, methods, summary }) => [path, methods.join(' '), summary]);
  return [
    `tierd ${version}: begin with /v1/status?format=text; ${description} has every parameter.`,
    '',
    ...formatColumns(COLUMNS, rows, columns),
    '',
  ].join('\n');
}
