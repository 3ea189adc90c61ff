/** A generated page: a title, a note on where it comes from, and its parts. */
export function page(title: string, source: string, ...parts: readonly string[]): string {
  const note = `<!-- Generated from ${source} by npm run docs. Do not edit. -->`;
  return `${[`# ${title}`, note, ...parts].map((part) => part.trim()).join('\n\n')}\n`;
}

/** Text as code. */
export function code(text: string): string {
  return `\`${text}\``;
}

/** A text that begins with a capital letter and ends with a full stop. */
export function sentence(text: string): string {
  const end = /[.:]$/.test(text) ? '' : '.';
  return `${text.charAt(0).toUpperCase()}${text.slice(1)}${end}`;
}
