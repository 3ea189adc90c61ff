import type { Policy } from '../tiering/policy.ts';
import type { KeyPath } from './schema/json-schema.ts';
import type { Violation } from './schema/violation.ts';
import { wrongValue } from './schema/violation.ts';

const CGROUP_MOUNT = '/sys/fs/cgroup';

/** NAME_MAX and, with room for the mount in front, PATH_MAX of the kernel. Both count bytes, which a schema cannot. */
const MAX_NAME_BYTES = 255;
const MAX_PATH_BYTES = 3840;

/** What a cgroup path must meet beside its pattern. */
export const CGROUP_PATH_RULE = `a path from the cgroup mount, without ${CGROUP_MOUNT}, *, ? or NUL, its names of at most ${MAX_NAME_BYTES} bytes, ${MAX_PATH_BYTES} in all`;

/** Of what looks like the path of a cgroup and can be none, what to say instead. */
export function cgroupPathViolations(path: KeyPath, cgroup: string): Violation[] {
  const allowed = allowedInstead(cgroup);
  return allowed === undefined ? [] : [wrongValue(path, cgroup, allowed)];
}

/** The same for every path that a policy names. */
export function cgroupsViolations({ include, exclude }: Policy['cgroups']): Violation[] {
  return Object.entries({ include, exclude }).flatMap(([list, cgroups]) =>
    cgroups.flatMap((cgroup, index) => cgroupPathViolations(['cgroups', list, index], cgroup)),
  );
}

/** undefined: it can be the path of one. */
function allowedInstead(cgroup: string): string | undefined {
  if (cgroup === CGROUP_MOUNT || cgroup.startsWith(`${CGROUP_MOUNT}/`)) {
    return `a path from the cgroup mount: "${cgroup.slice(CGROUP_MOUNT.length) || '/'}"`;
  }
  if (/[*?]/.test(cgroup)) return 'the path of one cgroup, not a pattern: all below it belong to it, too';
  if (cgroup.includes('\0')) return 'a path without NUL';
  if (cgroup.split('/').some((name) => Buffer.byteLength(name) > MAX_NAME_BYTES)) {
    return `a path whose names have at most ${MAX_NAME_BYTES} bytes`;
  }
  return Buffer.byteLength(cgroup) > MAX_PATH_BYTES ? `a path of at most ${MAX_PATH_BYTES} bytes` : undefined;
}
