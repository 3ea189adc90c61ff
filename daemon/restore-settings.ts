import type { PolicyLayers } from '../api/policy/layers.ts';
import { policyKeysOf, policyOfLayers } from '../api/policy/layers.ts';
import type { SavedSettings } from '../api/policy/operator-settings.ts';
import type { JsonObject } from '../api/schema/json-schema.ts';
import { formatViolation } from '../api/schema/violation.ts';
import type { Policy } from '../tiering/policy.ts';
import { ConfigError } from './errors.ts';
import type { StateFile } from './state-file.ts';

export interface RestoredSettings {
  readonly layers: PolicyLayers;
  readonly policy: Policy;
  readonly pausedSince?: Date;
  /** What is to hold is not in the file any more. */
  readonly mustSave: boolean;
}

/**
 * What an earlier process was told over REST, on top of the file and below the command line. What no longer fits (a key that is gone, a file that
 * contradicts it) is set aside with a warning, and the file holds. Throws ConfigError when command line and file do not fit each other.
 */
export async function restoreSettings(
  saved: StateFile<SavedSettings>,
  stated: JsonObject,
  commandLine: JsonObject,
): Promise<RestoredSettings> {
  const settings = await saved.load();
  const file = policyKeysOf(stated);
  const paused = settings?.pausedSince === undefined ? {} : { pausedSince: new Date(settings.pausedSince) };
  const layers = { commandLine, rest: settings?.policy ?? {}, file };
  const checked = policyOfLayers(layers);
  if (checked.ok) return { layers, policy: checked.value, ...paused, mustSave: false };
  if (settings !== undefined) await saved.setAside(checked.violations.map(formatViolation).join('; '));
  const withoutRest = { ...layers, rest: {} };
  const plain = policyOfLayers(withoutRest);
  if (!plain.ok) throw new ConfigError(plain.violations.map((violation) => formatViolation(violation)));
  // Nothing may move as long as the operator has not said so: a pause outlives the keys that no longer fit.
  return { layers: withoutRest, policy: plain.value, ...paused, mustSave: settings?.pausedSince !== undefined };
}
