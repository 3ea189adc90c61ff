import type { DiagnosisBody } from '../views/diagnosis-view.ts';
import { DEFAULT_COLUMNS } from './columns.ts';
import { wrapped } from './wrap.ts';

type FindingBody = DiagnosisBody['findings'][number];

const MAX_VALUE_CHARACTERS = 60;

/** A diagnosis to read in a terminal: what needs attention with its evidence and remedy, then what is well in a line each. */
export function diagnosisText({ findings }: DiagnosisBody, columns = DEFAULT_COLUMNS): string {
  const well = findings.filter(({ severity }) => severity === 'ok');
  const others = findings.filter(({ severity }) => severity !== 'ok');
  const lines = [
    ...others.flatMap((finding) => [...describe(finding), '']),
    ...well.map(({ title }) => `ok       ${title}`),
    '',
    summary(findings),
  ];
  return wrapped(lines, columns);
}

function describe({ severity, title, evidence, remedy }: FindingBody): string[] {
  return [
    `${severity.padEnd(8)} ${title}`,
    ...evidence.map(({ file, value }) => `         ${file}: ${shortened(value)}`),
    ...(remedy === undefined ? [] : [`         -> ${remedy}`]),
  ];
}

function shortened(value: string): string {
  const [first = ''] = value.split('\n');
  return first.length <= MAX_VALUE_CHARACTERS ? first : `${first.slice(0, MAX_VALUE_CHARACTERS - 3)}...`;
}

function summary(findings: readonly FindingBody[]): string {
  const count = (severity: FindingBody['severity'], word: string) => {
    const number = findings.filter((finding) => finding.severity === severity).length;
    return `${number} ${word}${number === 1 ? '' : 's'}`;
  };
  const known = [count('error', 'error'), count('warning', 'warning'), count('info', 'hint')];
  return [...known, `${count('unseen', 'thing')} not seen`].join(', ');
}
