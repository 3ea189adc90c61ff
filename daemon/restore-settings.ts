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
  /** Why tierd starts paused although nobody is known to have asked for it. */
  readonly pauseReason?: string;
  /** What is to hold is not in the file any more. */
  readonly mustSave: boolean;
}

/**
 * What an earlier process was told over REST, on top of the file and below the command line. What no longer fits (a key that is gone, a file that
 * contradicts it) is set aside with a warning, the file holds, and nothing moves until the
 * operator says so: a pause or a dry run may have been in it. Throws ConfigError when command line and file do not fit each other.
 */
export async function restoreSettings(
  saved: StateFile<SavedSettings>,
  stated: JsonObject,
  commandLine: JsonObject,
  now = new Date(),
): Promise<RestoredSettings> {
  const { value: settings, reason } = await saved.loadOrReason();
  const file = policyKeysOf(stated);
  const paused = settings?.pausedSince === undefined ? {} : { pausedSince: new Date(settings.pausedSince) };
  const inDoubt = (why: string) => ({ pausedSince: now, ...paused, pauseReason: `${saved.path}: ${why}` });
  const layers = { commandLine, rest: settings?.policy ?? {}, file };
  const checked = policyOfLayers(layers);
  if (checked.ok && reason !== undefined) {
    return { layers, policy: checked.value, ...inDoubt(reason), mustSave: true };
  }
  if (checked.ok) return { layers, policy: checked.value, ...paused, mustSave: false };
  const misfit = checked.violations.map(formatViolation).join('; ');
  if (settings !== undefined) await saved.setAside(misfit);
  const withoutRest = { ...layers, rest: {} };
  const plain = policyOfLayers(withoutRest);
  if (!plain.ok) throw new ConfigError(plain.violations.map((violation) => formatViolation(violation)));
  return { layers: withoutRest, policy: plain.value, ...inDoubt(misfit), mustSave: true };
}
