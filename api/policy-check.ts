import type { Policy } from '../tiering/policy.ts';
import { PolicySchema } from '../tiering/policy.ts';
import { policyRuleViolations } from './policy-rules.ts';
import type { Checked } from './schema/check.ts';
import { compileCheck } from './schema/check.ts';
import { withDefaults } from './schema/defaults.ts';

const checkShape = compileCheck(PolicySchema);

/** A policy from untrusted data: missing keys get their defaults, anything wrong is named. */
export function checkPolicy(value: unknown): Checked<Policy> {
  const shaped = checkShape(withDefaults(PolicySchema, value));
  if (!shaped.ok) return shaped;
  const violations = policyRuleViolations(shaped.value);
  return violations.length === 0 ? shaped : { ok: false, violations };
}
