/** The part of JSON Schema that the project's schemas use, for code that reads a schema as data (defaults, messages, documents). */
export interface JsonSchema {
  /** What the value is, in words that finish "must be ...", where the keywords say it badly. */
  readonly title?: string;
  /** With several a value may be of each of these types. */
  readonly type?: string | readonly string[];
  readonly const?: unknown;
  readonly enum?: readonly unknown[];
  readonly anyOf?: readonly JsonSchema[];
  readonly properties?: Readonly<Record<string, JsonSchema>>;
  readonly required?: readonly string[];
  readonly items?: JsonSchema;
  readonly minimum?: number;
  readonly maximum?: number;
  readonly minItems?: number;
  readonly maxItems?: number;
  readonly maxLength?: number;
  readonly pattern?: string;
  readonly default?: unknown;
  readonly description?: string;
}

/** Where a value stands in a document: keys and list indices from the outside in. */
export type KeyPath = readonly (string | number)[];

/** `promotion.minAccessRate`, `tiers[0][1]`; the empty path is the whole document. */
export function formatKeyPath(path: KeyPath): string {
  let text = '';
  for (const step of path) {
    if (typeof step === 'number') text += `[${step}]`;
    else text += text === '' ? step : `.${step}`;
  }
  return text;
}

export type JsonObject = Readonly<Record<string, unknown>>;

/** True for what JSON calls an object: neither null nor an array. */
export function isJsonObject(value: unknown): value is JsonObject {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/** The schema of one key, whatever names an object inherits (`constructor`, `toString`). */
export function propertySchema(schema: JsonSchema, key: string): JsonSchema | undefined {
  return schema.properties !== undefined && Object.hasOwn(schema.properties, key) ? schema.properties[key] : undefined;
}
