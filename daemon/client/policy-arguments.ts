import type { JsonObject, JsonSchema } from '../../api/schema/json-schema.ts';
import { isJsonObject, propertySchema } from '../../api/schema/json-schema.ts';
import { nearest } from '../../api/schema/nearest.ts';
import { PolicySchema } from '../../tiering/policy.ts';
import { UsageError } from '../errors.ts';

/** The keys of the policy, such as `promotion.minAccessRate`, in the order of the schema. */
export const POLICY_KEYS: readonly string[] = keysOf(PolicySchema, '');

/**
 * A merge patch from arguments such as `promotion.maxMiBPerSecond=200`. A value is JSON or else text, `null` takes back what was set, and the items of a
 * list may stand with commas between them. Throws UsageError for what is no key of the policy; values are the daemon's to check.
 */
export function policyPatch(assignments: readonly string[]): JsonObject {
  const patch = {};
  for (const assignment of assignments) {
    const equals = assignment.indexOf('=');
    if (equals < 1) throw new UsageError(`"${assignment}" is no KEY=VALUE`);
    const key = assignment.slice(0, equals);
    if (!POLICY_KEYS.includes(key)) {
      const meant = nearest(key, POLICY_KEYS);
      throw new UsageError(`the policy has no key "${key}"${meant === undefined ? '' : `: did you mean ${meant}?`}`);
    }
    assign(patch, key.split('.'), parseValue(assignment.slice(equals + 1), schemaOf(key)));
  }
  return patch;
}

function assign(target: Record<string, unknown>, [step = '', ...rest]: readonly string[], value: unknown): void {
  if (rest.length === 0) {
    target[step] = value;
    return;
  }
  const inner = isJsonObject(target[step]) ? { ...target[step] } : {};
  assign(inner, rest, value);
  target[step] = inner;
}

function parseValue(text: string, schema: JsonSchema | undefined): unknown {
  if (schema?.type === 'array' && !text.startsWith('[') && text !== 'null') {
    return text === '' ? [] : text.split(',');
  }
  try {
    return JSON.parse(text);
  } catch {
    return text;
  }
}

function schemaOf(key: string): JsonSchema | undefined {
  let schema: JsonSchema | undefined = PolicySchema;
  for (const step of key.split('.')) schema = schema === undefined ? undefined : propertySchema(schema, step);
  return schema;
}

function keysOf(schema: JsonSchema, prefix: string): readonly string[] {
  return Object.entries(schema.properties ?? {}).flatMap(([key, member]) =>
    member.properties === undefined ? [`${prefix}${key}`] : keysOf(member, `${prefix}${key}.`),
  );
}
