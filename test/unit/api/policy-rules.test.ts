import { describe, expect, test } from 'vitest';
import { checkPolicy } from '../../../api/policy-check.ts';
import { formatViolation } from '../../../api/schema/violation.ts';
import type { Policy } from '../../../tiering/policy.ts';
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

describe('rates and intervals', () => {
  const refused = (change: Partial<Policy>) => {
    const checked = checkPolicy({ ...DEFAULT_POLICY, ...change });
    return checked.ok ? [] : checked.violations.map(formatViolation);
  };
  const monitoring = (change: Partial<Policy['monitoring']>) =>
    refused({ monitoring: { ...DEFAULT_POLICY.monitoring, ...change } });

  test('memory that may make room may be as hot as memory that may go up: which is colder depends on both', () => {
    const promotion = { ...DEFAULT_POLICY.promotion, minAccessRate: 0.3 };
    expect(refused({ promotion, demotion: { ...DEFAULT_POLICY.demotion, maxAccessRate: 0.3 } })).toEqual([]);
    expect(refused({ promotion, demotion: { ...DEFAULT_POLICY.demotion, maxAccessRate: 0.1 } })).toEqual([]);
  });

  test('the longest sampling interval is not below the shortest', () => {
    expect(monitoring({ minSamplingIntervalMs: 200, maxSamplingIntervalMs: 200 })).toEqual([]);
    expect(monitoring({ minSamplingIntervalMs: 200, maxSamplingIntervalMs: 199 })).toEqual([
      'monitoring.maxSamplingIntervalMs: 199 is not allowed: must be at least 200 (monitoring.minSamplingIntervalMs)',
    ]);
  });

  test('five samples an aggregation are the fewest, where both are told', () => {
    expect(monitoring({ samplingIntervalMs: 100, aggregationIntervalMs: 499 })).toEqual([
      'monitoring.aggregationIntervalMs: 499 is not allowed: must be at least 500 (5 times monitoring.samplingIntervalMs)',
    ]);
    expect(monitoring({ samplingIntervalMs: 100, aggregationIntervalMs: 500 })).toEqual([]);
    expect(monitoring({ samplingIntervalMs: 'auto', aggregationIntervalMs: 20 })).toEqual([]);
    expect(monitoring({ samplingIntervalMs: 10_000, aggregationIntervalMs: 'auto' })).toEqual([]);
  });
});
