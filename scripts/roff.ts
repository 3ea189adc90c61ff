/** Pieces of a manual page in roff's man macros. Text may have code between backquotes and <placeholders>. */

/** `.SH`. */
export function heading(title: string): string {
  return `.SH ${quoted(title.toUpperCase())}\n`;
}

/** `.SS`. */
export function subheading(title: string): string {
  return `.SS ${quoted(title)}\n`;
}

/** A paragraph. */
export function paragraph(text: string): string {
  return `.PP\n${line(markup(text))}\n`;
}

/** A term, such as an option, with its meaning indented below. */
export function definition(term: string, meaning: string): string {
  return `.TP\n${line(bold(term))}\n${line(markup(meaning))}\n`;
}

/** Lines as they are, not filled. */
export function example(lines: readonly string[]): string {
  return `.PP\n.EX\n${lines.map((text) => `${line(literal(text))}\n`).join('')}.EE\n`;
}

/** An argument of a macro. */
export function quoted(text: string): string {
  return `"${literal(text).replaceAll('"', '\\(dq')}"`;
}

/** Every character stands for itself, to be copied from the page: a hyphen as a minus, quotes and tildes as in ASCII. */
function literal(text: string): string {
  const special: Readonly<Record<string, string>> = {
    '\\': '\\e',
    '-': '\\-',
    "'": '\\(aq',
    '`': '\\(ga',
    '^': '\\(ha',
    '~': '\\(ti',
  };
  return text.replace(/[\\\-'`^~]/g, (character) => special[character] ?? character);
}

/** A line that begins with a dot would be a request. */
function line(text: string): string {
  return text.startsWith('.') ? `\\&${text}` : text;
}

/** What is typed as it stands is bold, a <placeholder> italic. */
function bold(text: string): string {
  const parts = text.split(/(<[^<>]+>)/).filter((part) => part !== '');
  return parts
    .map((part) => (/^<.+>$/.test(part) ? `\\fI${literal(part.slice(1, -1))}\\fR` : `\\fB${literal(part)}\\fR`))
    .join('');
}

function markup(text: string): string {
  const parts = text.split(/`([^`]*)`/);
  return parts.map((part, index) => (index % 2 === 1 ? bold(part) : literal(part))).join('');
}
