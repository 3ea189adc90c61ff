import type { Violation } from '../api/schema/violation.ts';
import { wrongValue } from '../api/schema/violation.ts';
import type { Config } from './config-schema.ts';

/** A node is in one tier: the schema cannot say that across lists. */
export function tierRuleViolations(tiers: Config['tiers']): Violation[] {
  if (tiers === 'auto') return [];
  const nodeIds = tiers.flat();
  const twice = nodeIds.find((nodeId, index) => nodeIds.indexOf(nodeId) !== index);
  if (twice === undefined) return [];
  return [wrongValue(['tiers'], tiers, `lists with each node once (node ${twice} is there twice)`)];
}
