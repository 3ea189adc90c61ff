import type { DesiredKdamond, DesiredScheme } from './scheme.ts';

/** Less than a page: the scheme is off, yet its place, statistics and state stay. */
export const OFF_BYTES = 1;
/**
 * No region gets this old, so a scheme that is off matches nothing. The quota alone would not do: Linux 6.12 sets the quota of a new scheme after its
 * first pass, which so has no limit at all (seen: 200 MiB migrated by a scheme with a quota of 1 byte).
 */
export const OFF_AGE = 4_294_967_295;

/** True when the scheme may move memory. */
export function isMigrating({ action, quota }: DesiredScheme): boolean {
  return action !== 'stat' && quota.bytes > OFF_BYTES;
}

/** The same scheme, in the same place, that matches nothing. */
export function schemeOff({ maxPasses: _, ...scheme }: DesiredScheme): DesiredScheme {
  const { pattern, quota } = scheme;
  return {
    ...scheme,
    pattern: { ...pattern, age: { min: OFF_AGE, max: pattern.age.max } },
    quota: { ...quota, bytes: OFF_BYTES },
  };
}

/** The same kdamond, which watches and moves nothing. */
export function kdamondOff(kdamond: DesiredKdamond): DesiredKdamond {
  return { ...kdamond, schemes: kdamond.schemes.map((scheme) => (isMigrating(scheme) ? schemeOff(scheme) : scheme)) };
}
