/** A text of lines, those that are longer than so many columns as several. */
export function wrapped(lines: readonly string[], columns: number): string {
  return `${lines.flatMap((line) => wrap(line, columns)).join('\n')}\n`;
}

/** The lines of a sentence that can be longer than a terminal is wide. */
function wrap(line: string, columns: number): string[] {
  const lines: string[] = [];
  let rest = line;
  while (rest.length > columns) {
    const blank = rest.lastIndexOf(' ', columns);
    const end = blank > 0 ? blank : columns;
    lines.push(rest.slice(0, end));
    rest = rest.slice(end).trimStart();
  }
  return [...lines, rest];
}
