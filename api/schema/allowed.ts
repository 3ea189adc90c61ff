import type { JsonSchema } from './json-schema.ts';

/** What a schema allows, in words that finish "must be ...": `a number from 0.01 to 1`, `"auto" or an integer from 10 to 10000`. */
export function describeAllowed(schema: JsonSchema): string {
  if (schema.title !== undefined) return schema.title;
  if (schema.anyOf !== undefined) return joinWithOr(schema.anyOf.map(describeAllowed));
  if (schema.enum !== undefined) return joinWithOr(schema.enum.map((value) => JSON.stringify(value)));
  if (schema.const !== undefined) return JSON.stringify(schema.const);
  if (typeof schema.type === 'object') {
    return joinWithOr(schema.type.map((type) => describeAllowed({ ...schema, type })));
  }
  switch (schema.type) {
    case 'number':
      return `a number${describeRange(schema)}`;
    case 'integer':
      return `an integer${describeRange(schema)}`;
    case 'null':
      return 'null';
    case 'boolean':
      return 'true or false';
    case 'string':
      return describeString(schema);
    case 'array':
      return describeList(schema);
    case 'object':
      return `a mapping with the keys ${Object.keys(schema.properties ?? {}).join(', ')}`;
    default:
      return 'any value';
  }
}

/** `a`, `a or b`, `a, b or c`. */
function joinWithOr(parts: readonly string[]): string {
  if (parts.length < 2) return parts.join('');
  return `${parts.slice(0, -1).join(', ')} or ${parts.at(-1)}`;
}

function describeRange({ minimum, maximum }: JsonSchema): string {
  if (minimum !== undefined && maximum !== undefined) return ` from ${minimum} to ${maximum}`;
  if (minimum !== undefined) return ` of at least ${minimum}`;
  return maximum === undefined ? '' : ` of at most ${maximum}`;
}

function describeString({ pattern, maxLength }: JsonSchema): string {
  // Every pattern in the project's schemas asks for an absolute path; another one is shown as it is.
  if (pattern === undefined) return 'a text';
  if (!pattern.startsWith('^/')) return `a text that matches ${pattern}`;
  return `an absolute path${maxLength === undefined ? '' : ` of at most ${maxLength} characters`}`;
}

function describeList({ items, minItems, maxItems }: JsonSchema): string {
  const bounds = [
    ...(minItems === undefined ? [] : [`at least ${minItems}`]),
    ...(maxItems === undefined ? [] : [`at most ${maxItems}`]),
  ];
  const size = bounds.length === 0 ? '' : ` of ${bounds.join(' and ')}`;
  return items === undefined ? `a list${size}` : `a list${size}, each ${describeAllowed(items)}`;
}
