import { stringify } from 'yaml';
import { describeAllowed } from '../api/schema/allowed.ts';
import { defaultOf } from '../api/schema/defaults.ts';
import type { JsonSchema } from '../api/schema/json-schema.ts';

const HEADER = `# Configuration of tierd. Every key is optional; each is shown with its default.
# An unknown key or a wrong value is an error that names its line.
`;

const LINE_WIDTH = 100;

/** A configuration file with every key commented out, with its meaning and default. */
export function sampleConfig(schema: JsonSchema): string {
  const sections = Object.entries(schema.properties ?? {}).map(([key, member]) => section(key, member));
  return [HEADER, ...sections].join('\n');
}

function section(key: string, schema: JsonSchema): string {
  if (schema.properties === undefined) return entry(key, schema, '');
  const members = Object.entries(schema.properties).map(([name, member]) => entry(name, member, '  '));
  return `${comment(schema.description ?? '', '')}#${key}:\n${members.join('')}`;
}

function entry(key: string, schema: JsonSchema, indent: string): string {
  const words = `${schema.description ?? ''} Allowed: ${describeAllowed(schema)}.`;
  const value = stringify(defaultOf(schema), { defaultStringType: 'PLAIN' }).trim();
  return `${comment(words, indent)}#${indent}${key}: ${value}\n`;
}

/** Comment lines no wider than a page. */
function comment(words: string, indent: string): string {
  const lines: string[] = [];
  let line = '';
  for (const word of words.split(' ')) {
    if (line !== '' && line.length + word.length + indent.length + 3 > LINE_WIDTH) {
      lines.push(line);
      line = '';
    }
    line = line === '' ? word : `${line} ${word}`;
  }
  return [...lines, line].map((text) => `# ${indent}${text}\n`).join('');
}
