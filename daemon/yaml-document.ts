import type { Document, Pair, ParsedNode } from 'yaml';
import { isMap, isPair, isScalar, LineCounter, parseDocument } from 'yaml';
import type { KeyPath } from '../api/schema/json-schema.ts';
import { ConfigError } from './errors.ts';

/** A YAML file's content with the way back to its lines. */
export interface YamlDocument {
  /** null when the file is empty. */
  readonly content: unknown;
  /** Line, from 1, of the key that the path names; of the nearest key around it when the path leads nowhere. */
  lineOf(path: KeyPath): number;
}

const TWO_DOCUMENTS = 'a second YAML document begins here: keep one, and take out the line "---" or "..." between them';

/** Parses YAML 1.2. Throws ConfigError naming line and column of each syntax error and duplicate key. */
export function parseYaml(text: string, fileName: string): YamlDocument {
  const lineCounter = new LineCounter();
  const document = parseDocument(text, { lineCounter, prettyErrors: false, logLevel: 'error' });
  const problems = document.errors.map(({ pos, code, message }) => {
    const { line, col } = lineCounter.linePos(pos[0]);
    return `${fileName}:${line}:${col}: ${code === 'MULTIPLE_DOCS' ? TWO_DOCUMENTS : firstLine(message)}`;
  });
  if (problems.length > 0) throw new ConfigError(problems);
  return {
    content: contentOf(document, fileName),
    lineOf: (path) => lineCounter.linePos(offsetOf(document.contents, path)).line,
  };
}

function contentOf(document: Document.Parsed, fileName: string): unknown {
  try {
    // Aliases can multiply a small file into a large document; no configuration needs many.
    return document.toJS({ maxAliasCount: 10 });
  } catch (error) {
    throw new ConfigError([`${fileName}: ${error instanceof Error ? firstLine(error.message) : String(error)}`]);
  }
}

function firstLine(message: string): string {
  return message.split('\n', 1)[0] ?? message;
}

function offsetOf(contents: ParsedNode | null, path: KeyPath): number {
  let offset = contents?.range[0] ?? 0;
  let node: unknown = contents;
  for (const step of path) {
    if (!isMap(node)) break;
    const pair: Pair | undefined = node.items.find(
      (item) => isPair(item) && isScalar(item.key) && keyText(item.key.value) === step,
    );
    if (pair === undefined) break;
    if (isScalar(pair.key)) offset = pair.key.range?.[0] ?? offset;
    node = pair.value;
  }
  return offset;
}

/** Keys such as `1:` or `true:` become text in JavaScript. */
function keyText(value: unknown): string {
  return String(value);
}
