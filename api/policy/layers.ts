import type { Policy } from '../../tiering/policy.ts';
import { PolicySchema } from '../../tiering/policy.ts';
import { checkPolicy } from '../policy-check.ts';
import type { Checked } from '../schema/check.ts';
import type { JsonObject, JsonSchema, KeyPath } from '../schema/json-schema.ts';
import { formatKeyPath, isJsonObject } from '../schema/json-schema.ts';
import { mergePatch } from '../schema/merge-patch.ts';

/** Where a value of the policy can come from, the strongest first. */
export const POLICY_SOURCES = ['command line', 'REST', 'file', 'default'] as const;
export type PolicySource = (typeof POLICY_SOURCES)[number];

/** What each source says of the policy: only the keys that it sets. */
export interface PolicyLayers {
  readonly commandLine: JsonObject;
  readonly rest: JsonObject;
  readonly file: JsonObject;
}

/** The policy that the layers give together; all that is wrong with it is named. */
export function policyOfLayers({ commandLine, rest, file }: PolicyLayers): Checked<Policy> {
  return checkPolicy(mergePatch(mergePatch(file, rest), commandLine));
}

/** Where each value of the policy comes from, by its key such as `promotion.minAccessRate`. */
export function sourcesOf({ commandLine, rest, file }: PolicyLayers): Readonly<Record<string, PolicySource>> {
  return Object.fromEntries(
    LEAVES.map((path): [string, PolicySource] => {
      const says = (layer: JsonObject) => valueAt(layer, path) !== undefined;
      const source = says(commandLine) ? 'command line' : says(rest) ? 'REST' : says(file) ? 'file' : 'default';
      return [formatKeyPath(path), source];
    }),
  );
}

/** Keys that a document would set to something else than the command line holds them to; null sets nothing. */
export function overruledKeys(commandLine: JsonObject, document: JsonObject): readonly string[] {
  return LEAVES.filter((path) => {
    const [held, wanted] = [valueAt(commandLine, path), valueAt(document, path) ?? undefined];
    return held !== undefined && wanted !== undefined && JSON.stringify(held) !== JSON.stringify(wanted);
  }).map(formatKeyPath);
}

/** Of a document, the keys that belong to the policy. */
export function policyKeysOf(document: JsonObject): JsonObject {
  return Object.fromEntries(Object.entries(document).filter(([key]) => Object.hasOwn(PolicySchema.properties, key)));
}

/** The paths of all single values of the policy, in the order of its schema. */
const LEAVES: readonly KeyPath[] = leavesOf(PolicySchema);

function leavesOf(schema: JsonSchema, path: KeyPath = []): readonly KeyPath[] {
  if (schema.properties === undefined) return [path];
  return Object.entries(schema.properties).flatMap(([key, member]) => leavesOf(member, [...path, key]));
}

/** What stands at a path; undefined: nothing. */
export function valueAt(document: unknown, path: KeyPath): unknown {
  let value = document;
  for (const step of path) {
    if (!isJsonObject(value) || !Object.hasOwn(value, step)) return undefined;
    value = value[step];
  }
  return value;
}
