/** Rows as a Markdown table. */
export function markdownTable(titles: readonly string[], rows: readonly (readonly string[])[]): string {
  return [titles, titles.map(() => '---'), ...rows]
    .map((cells) => `| ${cells.map((cell) => cell.replaceAll('|', '\\|')).join(' | ')} |\n`)
    .join('');
}

/** The text with what stands between `<!-- NAME -->` and `<!-- /NAME -->` replaced. Throws when a marker is missing. */
export function withTable(text: string, name: string, table: string): string {
  const [opening, closing] = [`<!-- ${name} -->`, `<!-- /${name} -->`];
  const start = text.indexOf(opening);
  const end = text.indexOf(closing);
  if (start < 0 || end < start) throw new Error(`the text has no ${opening} ... ${closing}`);
  return `${text.slice(0, start + opening.length)}\n\n${table}\n${text.slice(end)}`;
}
