import { describeAllowed } from '../api/schema/allowed.ts';
import { defaultOf } from '../api/schema/defaults.ts';
import type { JsonSchema, KeyPath } from '../api/schema/json-schema.ts';
import { formatKeyPath } from '../api/schema/json-schema.ts';

const TABLE_START = '<!-- config-table -->';
const TABLE_END = '<!-- /config-table -->';

/** The configuration as a Markdown table, a row for each key. */
export function configTable(schema: JsonSchema): string {
  const rows = leaves(schema, []).map(({ path, leaf }) => {
    const value = JSON.stringify(defaultOf(leaf));
    return [`\`${formatKeyPath(path)}\``, `\`${value}\``, describeAllowed(leaf), leaf.description ?? ''];
  });
  return [['Key', 'Default', 'Allowed', 'Meaning'], ['---', '---', '---', '---'], ...rows]
    .map((cells) => `| ${cells.map((cell) => cell.replaceAll('|', '\\|')).join(' | ')} |\n`)
    .join('');
}

/** The text with what stands between the markers replaced. Throws when a marker is missing. */
export function withConfigTable(text: string, table: string): string {
  const start = text.indexOf(TABLE_START);
  const end = text.indexOf(TABLE_END);
  if (start < 0 || end < start) throw new Error(`the text has no ${TABLE_START} ... ${TABLE_END}`);
  return `${text.slice(0, start + TABLE_START.length)}\n\n${table}\n${text.slice(end)}`;
}

interface Leaf {
  readonly path: KeyPath;
  readonly leaf: JsonSchema;
}

function leaves(schema: JsonSchema, path: KeyPath): Leaf[] {
  if (schema.properties === undefined) return [{ path, leaf: schema }];
  return Object.entries(schema.properties).flatMap(([key, member]) => leaves(member, [...path, key]));
}
