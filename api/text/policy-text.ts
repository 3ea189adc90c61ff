import type { Policy } from '../../tiering/policy.ts';
import type { PolicySource } from '../policy/layers.ts';
import { valueAt } from '../policy/layers.ts';
import type { Column } from './columns.ts';
import { DEFAULT_COLUMNS, formatColumns } from './columns.ts';

const COLUMNS: readonly Column[] = [
  { title: 'KEY', align: 'left' },
  { title: 'VALUE', align: 'left' },
  { title: 'FROM', align: 'left' },
];

const MAX_VALUE_CHARACTERS = 48;

/** The policy to read in a terminal: each value, and who says so. */
export function policyText(
  policy: Policy,
  sources: Readonly<Record<string, PolicySource>>,
  columns = DEFAULT_COLUMNS,
): string {
  const rows = Object.entries(sources).map(([key, source]) => [key, shown(valueAt(policy, key.split('.'))), source]);
  return `${formatColumns(COLUMNS, rows, columns).join('\n')}\n`;
}

function shown(value: unknown): string {
  const text = JSON.stringify(value);
  return text.length <= MAX_VALUE_CHARACTERS ? text : `${text.slice(0, MAX_VALUE_CHARACTERS - 3)}...`;
}
