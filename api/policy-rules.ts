import type { Policy } from '../tiering/policy.ts';
import type { Violation } from './schema/violation.ts';
import { wrongValue } from './schema/violation.ts';

/** DAMON reads an access rate from this many samples at least; with fewer, 20 % and 0 % cannot be told apart. */
const MIN_SAMPLES_PER_AGGREGATION = 5;

const CGROUP_MOUNT = '/sys/fs/cgroup';
const MAX_NAME_BYTES = 255;
const PATH_RULE = `each a path from the cgroup mount, without ${CGROUP_MOUNT}, * or ?, its names of at most ${MAX_NAME_BYTES} bytes`;

/** The keys that a rule binds to another key, and what it asks of them: for the API's document, whose schemas cannot say it. */
export const POLICY_RULES: ReadonlyMap<string, string> = new Map([
  ['monitoring.aggregationIntervalMs', `at least ${MIN_SAMPLES_PER_AGGREGATION} times monitoring.samplingIntervalMs`],
  ['monitoring.maxRegions', 'at least monitoring.minRegions'],
  ['demotion.maxAccessRate', 'below promotion.minAccessRate'],
  ['cgroups.include', PATH_RULE],
  ['cgroups.exclude', PATH_RULE],
]);

/**
 * What a policy may not say although each of its values is allowed by itself. Shared by the configuration file and PATCH, so
 * that both refuse the same policies in the same words.
 */
export function policyRuleViolations(policy: Policy): Violation[] {
  const { monitoring, promotion, demotion } = policy;
  const violations: Violation[] = [];

  const leastAggregationMs = MIN_SAMPLES_PER_AGGREGATION * monitoring.samplingIntervalMs;
  if (monitoring.aggregationIntervalMs < leastAggregationMs) {
    const allowed = `at least ${leastAggregationMs} (${MIN_SAMPLES_PER_AGGREGATION} times monitoring.samplingIntervalMs)`;
    violations.push(wrongValue(['monitoring', 'aggregationIntervalMs'], monitoring.aggregationIntervalMs, allowed));
  }

  const { minRegions, maxRegions } = monitoring;
  if (minRegions !== 'auto' && maxRegions !== 'auto' && maxRegions < minRegions) {
    const allowed = `at least ${minRegions} (monitoring.minRegions)`;
    violations.push(wrongValue(['monitoring', 'maxRegions'], maxRegions, allowed));
  }

  if (demotion.maxAccessRate >= promotion.minAccessRate) {
    const allowed = `below ${promotion.minAccessRate} (promotion.minAccessRate)`;
    violations.push(wrongValue(['demotion', 'maxAccessRate'], demotion.maxAccessRate, allowed));
  }

  for (const list of ['include', 'exclude'] as const) {
    for (const [index, path] of policy.cgroups[list].entries()) {
      const allowed = allowedInstead(path);
      if (allowed !== undefined) violations.push(wrongValue(['cgroups', list, index], path, allowed));
    }
  }

  return violations;
}

/** Of what looks like the path of a cgroup and can be none; undefined: it can be one. */
function allowedInstead(path: string): string | undefined {
  if (path === CGROUP_MOUNT || path.startsWith(`${CGROUP_MOUNT}/`)) {
    return `a path from the cgroup mount: "${path.slice(CGROUP_MOUNT.length) || '/'}"`;
  }
  if (/[*?]/.test(path)) return 'the path of one cgroup, not a pattern: all below it belong to it, too';
  if (path.includes('\0')) return 'a path without NUL';
  const isTooLong = path.split('/').some((name) => Buffer.byteLength(name) > MAX_NAME_BYTES);
  return isTooLong ? `a path whose names have at most ${MAX_NAME_BYTES} bytes` : undefined;
}
