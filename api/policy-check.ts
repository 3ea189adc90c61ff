import Type from 'typebox';
import type { Policy } from '../tiering/policy.ts';
import { PolicySchema } from '../tiering/policy.ts';
import { policyRuleViolations } from './policy-rules.ts';
import type { Checked } from './schema/check.ts';
import { compileCheck } from './schema/check.ts';
import { withDefaults } from './schema/defaults.ts';
import { mergePatchSchema } from './schema/merge-patch-schema.ts';
import type { Violation } from './schema/violation.ts';

const checkShape = compileCheck(PolicySchema);

/** A policy from untrusted data: missing keys get their defaults, anything wrong is named. */
export function checkPolicy(value: unknown): Checked<Policy> {
  const shaped = checkShape(withDefaults(PolicySchema, value));
  if (!shaped.ok) return shaped;
  const violations = policyRuleViolations(shaped.value);
  return violations.length === 0 ? shaped : { ok: false, violations };
}

/** Body of PATCH /v1/policy, and of PUT, where null says nothing either. */
export const PolicyPatchSchema = mergePatchSchema(PolicySchema);

const checkPatch = compileCheck(Type.Unsafe<unknown>(PolicyPatchSchema));

/** What is wrong with a patch by itself, whatever policy it is for: an unknown key that is null would leave no trace in the policy. */
export function policyPatchViolations(patch: unknown): readonly Violation[] {
  const checked = checkPatch(patch);
  return checked.ok ? [] : checked.violations;
}
