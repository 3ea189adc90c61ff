import type { JsonSchema } from './json-schema.ts';

/**
 * The schema of JSON merge patches (RFC 7396) to what a schema describes: at every depth any keys may be left out, and null takes one back. Nothing has a
 * default, as what is left out stays as it is. The whole is an object and not null. Pure.
 */
export function mergePatchSchema({ default: _default, required: _required, ...schema }: JsonSchema): JsonSchema {
  if (schema.properties === undefined) return schema;
  const members = Object.entries(schema.properties).map(([key, member]) => [key, orNull(mergePatchSchema(member))]);
  return { ...schema, properties: Object.fromEntries(members) };
}

/** What a schema allows, and null. */
function orNull(schema: JsonSchema): JsonSchema {
  if (schema.anyOf !== undefined) return { ...schema, anyOf: [...schema.anyOf, { type: 'null' }] };
  const { type, enum: names, ...rest } = schema;
  if (type === undefined) return { anyOf: [schema, { type: 'null' }] };
  return { ...rest, type: [type, 'null'].flat(), ...(names !== undefined && { enum: [...names, null] }) };
}
