import { MAX_COLUMNS } from './columns.ts';

/** The lines of a sentence that can be longer than a terminal is wide. */
export function wrap(line: string): string[] {
  const lines: string[] = [];
  let rest = line;
  while (rest.length > MAX_COLUMNS) {
    const blank = rest.lastIndexOf(' ', MAX_COLUMNS);
    const end = blank > 0 ? blank : MAX_COLUMNS;
    lines.push(rest.slice(0, end));
    rest = rest.slice(end).trimStart();
  }
  return [...lines, rest];
}
