import type { JsonSchema, KeyPath } from './json-schema.ts';
import { formatKeyPath, isJsonObject } from './json-schema.ts';
import { nearest } from './nearest.ts';
import type { Violation } from './violation.ts';
import { showValue } from './violation.ts';

/**
 * An unknown key, with the known one that was probably meant: a similar one at the same place, or the same one at another.
 *
 * @param root schema of the whole document
 * @param parent schema of the object that holds the key
 */
export function unknownKey(root: JsonSchema, parent: JsonSchema, path: KeyPath, value: unknown): Violation {
  const key = String(path.at(-1) ?? '');
  const siblings = Object.keys(parent.properties ?? {});
  const hint = nearest(key, siblings) ?? elsewhere(root, key);
  const allowed = siblings.length === 0 ? 'left out: there are no keys here' : `one of the keys ${siblings.join(', ')}`;
  const advice = hint === undefined ? `must be ${allowed}` : `did you mean ${showName(path, siblings, hint)}?`;
  return { path: path.map(shorten), value, allowed, message: `unknown key: ${advice}`, unknownKey: true };
}

/** A key of another object: `minAccessRate` belongs below `promotion`. */
function elsewhere(root: JsonSchema, key: string): string | undefined {
  const paths = keyPaths(root, []).map(formatKeyPath);
  const last = (path: string): string => path.slice(path.lastIndexOf('.') + 1);
  const meant = nearest(key, paths.map(last));
  return meant === undefined ? undefined : paths.find((path) => last(path) === meant);
}

function showName(path: KeyPath, siblings: readonly string[], hint: string): string {
  const parent = path.slice(0, -1);
  return showValue(siblings.includes(hint) ? formatKeyPath([...parent, hint]) : hint);
}

function keyPaths(schema: JsonSchema, path: KeyPath): KeyPath[] {
  if (!isJsonObject(schema.properties)) return path.length === 0 ? [] : [path];
  return Object.entries(schema.properties).flatMap(([key, inner]) => keyPaths(inner, [...path, key]));
}

/** Hostile keys can be of any length; a message shows their beginning. */
function shorten(step: string | number): string | number {
  return typeof step === 'number' || step.length <= 80 ? step : `${step.slice(0, 77)}...`;
}
