import type { Policy } from '../tiering/policy.ts';
import { CGROUP_PATH_RULE, cgroupsViolations } from './cgroup-path-rule.ts';
import type { Violation } from './schema/violation.ts';
import { wrongValue } from './schema/violation.ts';

/** DAMON reads an access rate from this many samples at least; with fewer, 20 % and 0 % cannot be told apart. */
const MIN_SAMPLES_PER_AGGREGATION = 5;

/** What a rule asks of keys, by key: for the API's document, whose schemas cannot say it. */
export const POLICY_RULES: ReadonlyMap<string, string> = new Map([
  ['monitoring.aggregationIntervalMs', `at least ${MIN_SAMPLES_PER_AGGREGATION} times monitoring.samplingIntervalMs`],
  ['monitoring.maxSamplingIntervalMs', 'at least monitoring.minSamplingIntervalMs'],
  ['monitoring.maxRegions', 'at least monitoring.minRegions'],
  ['cgroups.include', `each ${CGROUP_PATH_RULE}`],
  ['cgroups.exclude', `each ${CGROUP_PATH_RULE}`],
]);

/**
 * What a policy may not say although each of its values is allowed by itself. Shared by the configuration file and PATCH, so
 * that both refuse the same policies in the same words.
 */
export function policyRuleViolations(policy: Policy): Violation[] {
  const { monitoring } = policy;
  const violations: Violation[] = [];

  const { samplingIntervalMs, aggregationIntervalMs, minSamplingIntervalMs, maxSamplingIntervalMs } = monitoring;
  const leastAggregationMs = samplingIntervalMs === 'auto' ? 0 : MIN_SAMPLES_PER_AGGREGATION * samplingIntervalMs;
  if (maxSamplingIntervalMs < minSamplingIntervalMs) {
    const allowed = `at least ${minSamplingIntervalMs} (monitoring.minSamplingIntervalMs)`;
    violations.push(wrongValue(['monitoring', 'maxSamplingIntervalMs'], maxSamplingIntervalMs, allowed));
  }
  if (aggregationIntervalMs !== 'auto' && aggregationIntervalMs < leastAggregationMs) {
    const allowed = `at least ${leastAggregationMs} (${MIN_SAMPLES_PER_AGGREGATION} times monitoring.samplingIntervalMs)`;
    violations.push(wrongValue(['monitoring', 'aggregationIntervalMs'], aggregationIntervalMs, allowed));
  }

  const { minRegions, maxRegions } = monitoring;
  if (minRegions !== 'auto' && maxRegions !== 'auto' && maxRegions < minRegions) {
    const allowed = `at least ${minRegions} (monitoring.minRegions)`;
    violations.push(wrongValue(['monitoring', 'maxRegions'], maxRegions, allowed));
  }

  return [...violations, ...cgroupsViolations(policy.cgroups)];
}
