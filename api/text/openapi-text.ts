import type { Operation } from '../openapi/operations.ts';
import type { Column } from './columns.ts';
import { DEFAULT_COLUMNS, formatColumns } from './columns.ts';

const COLUMNS: readonly Column[] = [
  { title: 'METHOD', align: 'left' },
  { title: 'PATH', align: 'left' },
  { title: 'WHAT IT DOES', align: 'left' },
];

/** All operations of the API in a line each, path by path; the document itself is for programs. */
export function openApiText(operations: ReadonlyMap<string, Operation>, columns = DEFAULT_COLUMNS): string {
  const rows = [...operations].map(([name, { summary }]) => [...name.split(' '), summary]);
  return `${formatColumns(COLUMNS, rows, columns).join('\n')}\n`;
}
