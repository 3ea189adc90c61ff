import type { Fact } from './facts.ts';
import type { Evidence, Finding } from './finding.ts';

/** What a file says, for a person. */
export function evidenceOf(fact: Fact): Evidence {
  switch (fact.state) {
    case 'value':
      return { file: fact.file, value: fact.text };
    case 'absent':
      return { file: fact.file, value: '(not there)' };
    case 'unreadable':
      return { file: fact.file, value: `(cannot be read: ${fact.errno})` };
  }
}

/** A finding on what could not be looked at: nobody knows whether it is as it should be. */
export function unseen(id: string, what: string, facts: readonly Fact[]): Finding {
  return {
    id,
    severity: 'unseen',
    title: `Not known: ${what}`,
    evidence: facts.map(evidenceOf),
    remedy: 'run it as root: sudo tierd doctor',
  };
}

/** The chosen word of a file such as `always [madvise] never`; otherwise its text. */
export function chosen(text: string): string {
  return /\[(\w+)\]/.exec(text)?.[1] ?? text;
}
