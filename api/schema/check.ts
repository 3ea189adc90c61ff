import type { ErrorObject } from 'ajv';
import { Ajv } from 'ajv';
import type { Static, TSchema } from 'typebox';
import { describeAllowed } from './allowed.ts';
import type { JsonSchema, KeyPath } from './json-schema.ts';
import { formatKeyPath, isJsonObject, propertySchema } from './json-schema.ts';
import { unknownKey } from './unknown-key.ts';
import type { Violation } from './violation.ts';
import { wrongValue } from './violation.ts';

export type Checked<T> =
  | { readonly ok: true; readonly value: T }
  | { readonly ok: false; readonly violations: readonly Violation[] };

/** A document with more wrong than this is not being read to the end by anybody. */
const MAX_VIOLATIONS = 50;

// One for all schemas. Not checking the schemas themselves, which the tests do, spares compiling the meta-schema: 4 MiB.
const ajv = new Ajv({
  allErrors: true,
  removeAdditional: false,
  coerceTypes: false,
  useDefaults: false,
  // A patch may say null in place of anything.
  allowUnionTypes: true,
  meta: false,
  validateSchema: false,
});

/**
 * Compiles a schema into a check that names everything wrong with a value: each key once, with what is allowed there.
 * Nothing is converted, removed or filled in.
 */
export function compileCheck<S extends TSchema>(schema: S): (value: unknown) => Checked<Static<S>> {
  const root: JsonSchema = schema;
  const validate = ajv.compile<Static<S>>(schema);
  return (value) => {
    if (validate(value)) return { ok: true, value };
    return { ok: false, violations: toViolations(root, value, validate.errors ?? []) };
  };
}

function toViolations(root: JsonSchema, document: unknown, errors: readonly ErrorObject[]): Violation[] {
  const byKey = new Map<string, Violation>();
  for (const error of errors) {
    const violation = toViolation(root, document, error);
    // One value can break many keywords, and each branch of an `anyOf`: it is one wrong value.
    const key = formatKeyPath(violation.path);
    if (!byKey.has(key)) byKey.set(key, violation);
    if (byKey.size >= MAX_VIOLATIONS) break;
  }
  return [...byKey.values()];
}

function toViolation(root: JsonSchema, document: unknown, error: ErrorObject): Violation {
  const place = locate(root, document, pointerSteps(error.instancePath));
  const extra: unknown = error.keyword === 'additionalProperties' ? error.params.additionalProperty : undefined;
  if (typeof extra === 'string') {
    return unknownKey(root, place.schema, [...place.path, extra], member(place.value, extra));
  }
  return wrongValue(place.path, place.value, describeAllowed(place.schema));
}

interface Place {
  readonly path: KeyPath;
  readonly schema: JsonSchema;
  readonly value: unknown;
}

/** Follows a path through schema and document, as far as the schema leads: a choice (`anyOf`) is described as a whole. */
function locate(root: JsonSchema, document: unknown, steps: readonly string[]): Place {
  let place: Place = { path: [], schema: root, value: document };
  for (const step of steps) {
    const isIndex = Array.isArray(place.value);
    const inner = isIndex ? place.schema.items : propertySchema(place.schema, step);
    if (inner === undefined) break;
    place = { path: [...place.path, isIndex ? Number(step) : step], schema: inner, value: member(place.value, step) };
  }
  return place;
}

function member(value: unknown, step: string): unknown {
  if (Array.isArray(value)) return value[Number(step)];
  return isJsonObject(value) && Object.hasOwn(value, step) ? value[step] : undefined;
}

/** The steps of a JSON pointer (RFC 6901). */
function pointerSteps(pointer: string): string[] {
  return pointer
    .split('/')
    .slice(1)
    .map((step) => step.replaceAll('~1', '/').replaceAll('~0', '~'));
}
