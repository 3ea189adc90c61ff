import { cxlChecks } from './cxl-checks.ts';
import { damonChecks } from './damon-checks.ts';
import type { HostFacts } from './facts.ts';
import type { Finding } from './finding.ts';
import { worstFirst } from './finding.ts';
import { placementChecks } from './placement-checks.ts';
import { processChecks } from './process-checks.ts';

/** All findings on a host, the worst first. Pure. */
export function diagnose(facts: HostFacts): readonly Finding[] {
  return worstFirst([...damonChecks(facts), ...placementChecks(facts), ...cxlChecks(facts), ...processChecks(facts)]);
}

/** Sentences on what else moves memory while tierd works, for its log. Pure. */
export function conflictsOf(facts: HostFacts): readonly string[] {
  return placementChecks(facts)
    .filter(({ severity }) => severity === 'warning')
    .map(({ title, evidence, remedy }) => {
      const seen = evidence.map(({ file, value }) => `${file} is ${value}`).join(', ');
      return `${title} (${seen})${remedy === undefined ? '' : `: ${remedy}`}`;
    });
}
