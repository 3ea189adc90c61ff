import { OPERATIONS } from '../../api/openapi/operations.ts';
import { PolicyPatchSchema } from '../../api/policy-check.ts';
import { describeAllowed } from '../../api/schema/allowed.ts';
import type { JsonSchema } from '../../api/schema/json-schema.ts';
import { isJsonObject } from '../../api/schema/json-schema.ts';
import { markdownTable } from '../markdown-table.ts';
import { code, page, sentence } from './page.ts';

/** docs/reference/rest-api.md, from the document that GET /openapi.json answers with. */
export function restApiPage(document: unknown): string {
  const paths = at(document, 'paths');
  const operations = [...OPERATIONS].map(([request, { hasText = false }]) => {
    const [method = '', path = ''] = request.split(' ');
    const operation = at(paths, path.replace(/:(\w+)/g, '{$1}'), method.toLowerCase());
    return operationPart(request, operation, hasText);
  });
  return page(
    'REST API',
    'the OpenAPI document',
    `HTTP over the Unix socket \`/run/tierd/tierd.sock\`. \`GET /openapi.json\` answers with the same as an OpenAPI 3.1
document, with the schema of every answer.`,
    `Every GET also answers as text for a terminal, with \`?format=text\` or \`Accept: text/plain\`, except \`/metrics\`, which
is text anyway. Every answer that is not 2xx or 304 has problem details (RFC 9457) with a stable \`code\`.`,
    markdownTable(
      ['Request', 'What it does'],
      [...OPERATIONS].map(([request, { summary }]) => [`[${code(request)}](#${anchor(request)})`, summary]),
    ),
    ...operations,
  );
}

function operationPart(request: string, operation: unknown, hasText: boolean): string {
  const summary = textAt(operation, 'summary');
  const description = textAt(operation, 'description');
  const parameters = at(operation, 'parameters');
  const rows = (Array.isArray(parameters) ? parameters : []).flatMap((parameter: unknown) => {
    const name = textAt(parameter, 'name');
    // The same for every request that answers as text.
    if (hasText && (name === 'format' || name === 'columns')) return [];
    return [[code(name), textAt(parameter, 'in'), allowedIn(parameter), textAt(parameter, 'description')]];
  });
  const schema = OPERATIONS.get(request)?.body?.schema;
  const body = schema === PolicyPatchSchema ? [] : fields(schema);
  const parts = [`## ${request}`, [sentence(summary), description].join(' ')];
  if (hasText) parts.push('Answers as JSON or as text: `format` and `columns` (100 to 500).');
  if (rows.length > 0) parts.push(markdownTable(['Parameter', 'In', 'Allowed', 'Meaning'], rows));
  if (schema === PolicyPatchSchema)
    parts.push('Body: [keys of the policy](configuration.md), each with a value or null.');
  if (body.length > 0) parts.push('Body:', markdownTable(['Key', 'Allowed', 'Meaning'], body));
  parts.push(`Answers: ${answers(operation)}.`);
  return parts.map((part) => part.trim()).join('\n\n');
}

/** Statuses of an operation, with the headers of those that succeed. */
function answers(operation: unknown): string {
  const responses = at(operation, 'responses');
  return Object.entries(isJsonObject(responses) ? responses : {})
    .map(([status, response]) => {
      const headers = at(response, 'headers');
      const names = Object.keys(isJsonObject(headers) ? headers : {}).map(code);
      return names.length === 0 ? status : `${status} (${names.join(', ')})`;
    })
    .join(', ');
}

/** The keys of a body, a row for each. */
function fields(schema: unknown, prefix = ''): string[][] {
  const properties = at(schema, 'properties');
  return Object.entries(isJsonObject(properties) ? properties : {}).flatMap(([name, member]) => {
    const key = prefix === '' ? name : `${prefix}.${name}`;
    const nested = fields(member, key);
    return nested.length > 0 ? nested : [[code(key), allowed(member), textAt(member, 'description')]];
  });
}

function allowedIn(parameter: unknown): string {
  return allowed(at(parameter, 'schema'));
}

function allowed(schema: unknown): string {
  return isJsonObject(schema) && isSchema(schema) ? describeAllowed(schema) : '';
}

function isSchema(value: object): value is JsonSchema {
  return 'type' in value || 'anyOf' in value || 'enum' in value || 'const' in value || 'title' in value;
}

/** GitHub's anchor of a heading. */
function anchor(heading: string): string {
  return heading
    .toLowerCase()
    .replace(/[^\w\- ]/g, '')
    .replaceAll(' ', '-');
}

function at(value: unknown, ...keys: readonly string[]): unknown {
  return keys.reduce<unknown>((inner, key) => (isJsonObject(inner) ? inner[key] : undefined), value);
}

function textAt(value: unknown, key: string): string {
  const text = at(value, key);
  return typeof text === 'string' ? text : '';
}
