import { describeAllowed } from '../api/schema/allowed.ts';
import { defaultOf } from '../api/schema/defaults.ts';
import type { JsonSchema, KeyPath } from '../api/schema/json-schema.ts';
import { formatKeyPath } from '../api/schema/json-schema.ts';
import { markdownTable } from './markdown-table.ts';

/** The configuration as a Markdown table, a row for each key. */
export function configTable(schema: JsonSchema): string {
  const rows = leaves(schema).map(({ path, leaf }) => {
    const value = JSON.stringify(defaultOf(leaf));
    return [`\`${formatKeyPath(path)}\``, `\`${value}\``, describeAllowed(leaf), leaf.description ?? ''];
  });
  return markdownTable(['Key', 'Default', 'Allowed', 'Meaning'], rows);
}

/** One value of the configuration, not a group of them. */
interface Leaf {
  readonly path: KeyPath;
  readonly leaf: JsonSchema;
}

/** Every value below a schema, in its order. */
export function leaves(schema: JsonSchema, path: KeyPath = []): Leaf[] {
  if (schema.properties === undefined) return [{ path, leaf: schema }];
  return Object.entries(schema.properties).flatMap(([key, member]) => leaves(member, [...path, key]));
}
