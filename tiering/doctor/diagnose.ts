import { CGROUP_MOUNT } from '../../numa/cgroups.ts';
import { cxlChecks } from './cxl-checks.ts';
import { damonChecks } from './damon-checks.ts';
import type { HostFacts } from './facts.ts';
import type { Finding } from './finding.ts';
import { worstFirst } from './finding.ts';
import { placementChecks } from './placement-checks.ts';
import { processChecks } from './process-checks.ts';
import { tierChecks } from './tier-checks.ts';

/** Whether the policy's cgroups are there. */
export const SCOPE_FINDING = 'cgroup-scope';

/**
 * All findings on a host, the worst first. Pure.
 *
 * @param scopeProblem which of the policy's cgroups match nothing, and what that means
 */
export function diagnose(facts: HostFacts, scopeProblem?: string): readonly Finding[] {
  return worstFirst([
    ...damonChecks(facts),
    ...placementChecks(facts),
    ...tierChecks(facts),
    ...cxlChecks(facts),
    ...processChecks(facts),
    ...scopeFindings(scopeProblem),
  ]);
}

function scopeFindings(problem: string | undefined): readonly Finding[] {
  if (problem === undefined) return [];
  const evidence = [{ file: CGROUP_MOUNT, value: problem }];
  return [
    {
      id: SCOPE_FINDING,
      severity: 'warning',
      title: "Not every cgroup of the policy's lists is there",
      evidence,
      remedy:
        'tierd policy set cgroups.include=/a,/b (or cgroups.exclude) with paths that "systemd-cgls" shows, or start what makes the cgroup',
    },
  ];
}

/** Of these the daemon's log has a sentence of its own. */
const TOLD_ELSEWHERE: ReadonlySet<string> = new Set(['left-alone', 'odd-value']);

/** Sentences on what works against tierd while it runs, for its log. Pure. */
export function conflictsOf(facts: HostFacts): readonly string[] {
  return [...placementChecks(facts), ...tierChecks(facts)]
    .filter(({ id, severity }) => severity === 'warning' && !TOLD_ELSEWHERE.has(id))
    .map(({ title, evidence, remedy }) => {
      const seen = evidence.map(({ file, value }) => `${file} is ${value}`).join(', ');
      return `${title} (${seen})${remedy === undefined ? '' : `: ${remedy}`}`;
    });
}
