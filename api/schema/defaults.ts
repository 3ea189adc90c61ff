import type { JsonObject, JsonSchema } from './json-schema.ts';
import { isJsonObject, propertySchema } from './json-schema.ts';

/**
 * The value with every missing key set to its schema's default, at every depth. Wrong values and unknown keys are left as they
 * are, for validation to name them.
 */
export function withDefaults(schema: JsonSchema, value: unknown): unknown {
  if (value === undefined) return defaultOf(schema);
  if (schema.properties === undefined || !isJsonObject(value)) return value;
  const filled: [string, unknown][] = Object.entries(value).filter(([, member]) => member !== undefined);
  const given = new Set(filled.map(([key]) => key));
  const result = filled.map(([key, member]): [string, unknown] => [key, withMember(schema, key, member)]);
  for (const [key, member] of Object.entries(schema.properties)) {
    if (!given.has(key)) result.push([key, defaultOf(member)]);
  }
  return Object.fromEntries(result);
}

/** A copy of the schema's default; an object without one has its keys' defaults. */
export function defaultOf(schema: JsonSchema): unknown {
  if (schema.default !== undefined) return structuredClone(schema.default);
  if (schema.properties === undefined) return undefined;
  const empty: JsonObject = {};
  return withDefaults(schema, empty);
}

function withMember(schema: JsonSchema, key: string, member: unknown): unknown {
  const inner = propertySchema(schema, key);
  return inner === undefined ? member : withDefaults(inner, member);
}
