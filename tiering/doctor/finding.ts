/** `ok`: as it should be; `unseen`: could not be looked at; the others are for the operator, in rising urgency. */
export const SEVERITIES = ['ok', 'unseen', 'info', 'warning', 'error'] as const;
export type Severity = (typeof SEVERITIES)[number];

/** What a file says, or why that is not known. */
export interface Evidence {
  readonly file: string;
  readonly value: string;
}

/** One thing that the doctor looked at. */
export interface Finding {
  /** Stable, such as `numa-balancing`. */
  readonly id: string;
  readonly severity: Severity;
  readonly title: string;
  readonly evidence: readonly Evidence[];
  /** A command where one mends it, or what to do. */
  readonly remedy?: string;
}

/** The worst first; those of one severity in the order they were found. */
export function worstFirst(findings: readonly Finding[]): readonly Finding[] {
  return findings.toSorted((a, b) => SEVERITIES.indexOf(b.severity) - SEVERITIES.indexOf(a.severity));
}

/** The worst severity of all. */
export function worstOf(findings: readonly Finding[]): Severity {
  return worstFirst(findings)[0]?.severity ?? 'ok';
}
