import type { KeyPath } from './json-schema.ts';
import { formatKeyPath } from './json-schema.ts';

/** One thing wrong with a document: where, what stands there, and what may. */
export interface Violation {
  readonly path: KeyPath;
  /** What stands there; of an unknown key its value. */
  readonly value: unknown;
  /** What is allowed there, in words. */
  readonly allowed: string;
  /** The whole sentence after the key path. */
  readonly message: string;
  /** The key itself is not known, whatever its value. */
  readonly unknownKey: boolean;
}

const MAX_SHOWN_CHARACTERS = 60;

/** A value as it is shown in a message: JSON, cut to a readable length. */
export function showValue(value: unknown): string {
  // JSON has no word for these, and "null" would be a lie.
  const text =
    typeof value === 'number' && !Number.isFinite(value) ? String(value) : (JSON.stringify(value) ?? 'nothing');
  return text.length <= MAX_SHOWN_CHARACTERS ? text : `${text.slice(0, MAX_SHOWN_CHARACTERS - 3)}...`;
}

/** `3 is not allowed: must be a number from 0.01 to 1`. */
export function wrongValue(path: KeyPath, value: unknown, allowed: string): Violation {
  return { path, value, allowed, message: `${showValue(value)} is not allowed: must be ${allowed}`, unknownKey: false };
}

/** `promotion.minAccessRate: 3 is not allowed: must be ...`. */
export function formatViolation(violation: Violation): string {
  const key = formatKeyPath(violation.path);
  return key === '' ? violation.message : `${key}: ${violation.message}`;
}
