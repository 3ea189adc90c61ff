import { describe, expect, test } from 'vitest';
import { checkPolicy } from '../../../api/policy-check.ts';
import { formatViolation } from '../../../api/schema/violation.ts';
import { DEFAULT_POLICY } from '../../../tiering/policy.ts';

function wrong(list: 'include' | 'exclude', path: string): readonly string[] {
  const checked = checkPolicy({ ...DEFAULT_POLICY, cgroups: { include: [], exclude: [], [list]: ['/ok', path] } });
  return checked.ok ? [] : checked.violations.map(formatViolation);
}

describe.each(['include', 'exclude'] as const)('cgroups.%s', (list) => {
  test.each([
    ['/sys/fs/cgroup/system.slice', 'must be a path from the cgroup mount: "/system.slice"'],
    ['/sys/fs/cgroup', 'must be a path from the cgroup mount: "/"'],
    ['/system.slice/*.service', 'must be the path of one cgroup, not a pattern: all below it belong to it, too'],
    ['/app-?', 'must be the path of one cgroup, not a pattern'],
    ['/a\0b', 'must be a path without NUL'],
    [`/${'ä'.repeat(128)}`, 'must be a path whose names have at most 255 bytes'],
  ])('refuses %j', (path, allowed) => {
    expect(wrong(list, path)).toEqual([expect.stringMatching(`^cgroups.${list}\\[1\\]: .* is not allowed: `)]);
    expect(wrong(list, path)[0]).toContain(allowed);
  });

  test.each([
    '/',
    '/system.slice/a.service',
    '/sys/fs',
    '/sys/fs/cgrouped',
    '/system-my\\x2dapp.slice',
    `/${'a'.repeat(255)}`,
  ])('takes %j', (path) => {
    expect(wrong(list, path)).toEqual([]);
  });
});
