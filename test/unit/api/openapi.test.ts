import { Validator } from '@seriousme/openapi-schema-validator';
import { Ajv2020 } from 'ajv/dist/2020.js';
import { describe, expect, test } from 'vitest';
import { OPERATIONS } from '../../../api/openapi/operations.ts';
import { isJsonObject } from '../../../api/schema/json-schema.ts';
import { harness } from './harness.ts';

async function documentOf(api: ReturnType<typeof harness>['api']): Promise<Record<string, unknown>> {
  const answer = await api.inject('/openapi.json');
  expect(answer.statusCode).toBe(200);
  return answer.json();
}

test('is a valid OpenAPI 3.1 document', async () => {
  const { api } = harness();
  const document = await documentOf(api);
  expect(document.openapi).toBe('3.1.0');
  expect(await new Validator().validate(document)).toMatchObject({ valid: true });
});

test('describes every route, and nothing else', async () => {
  const { api } = harness();
  const routes: string[] = [];
  api.addHook('onRoute', ({ method, url }) => {
    for (const name of [method].flat()) if (name !== 'HEAD') routes.push(`${name} ${url}`);
  });
  const { paths } = await documentOf(api);
  const described = Object.entries(Object(paths)).flatMap(([path, item]) =>
    Object.keys(Object(item)).map((method) => `${method.toUpperCase()} ${path.replace(/\{(\w+)\}/g, ':$1')}`),
  );
  expect(routes.length).toBeGreaterThan(10);
  expect(described.sort()).toEqual(routes.sort());
  expect([...OPERATIONS.keys()].sort()).toEqual(routes.sort());
});

test.each([
  ['?format=text', '*/*'],
  ['', 'text/plain'],
])('as text it is a list of operations for a terminal: %s, %s', async (query, accept) => {
  const { api } = harness();
  const { statusCode, headers, body } = await api.inject({ url: `/openapi.json${query}`, headers: { accept } });
  expect([statusCode, headers['content-type']]).toEqual([200, 'text/plain; charset=utf-8']);
  const lines = body.trimEnd().split('\n');
  expect(lines).toHaveLength(OPERATIONS.size + 1);
  expect(lines[0]).toBe('METHOD  PATH                WHAT IT DOES');
  expect(lines).toContain('PATCH   /v1/policy          Change the policy, at once and for good');
  expect(Math.max(...lines.map(({ length }) => length))).toBeLessThanOrEqual(100);
});

test('every GET that ends takes format=text and answers with text', async () => {
  const { api } = harness();
  await api.inject({ method: 'POST', url: '/v1/migrations', payload: { pid: 1, from: 1, to: 0 } });
  const gets = [...OPERATIONS.keys()].filter((name) => name.startsWith('GET ') && !name.endsWith('/events'));
  for (const name of gets) {
    const url = `${name.replace('GET ', '').replace(':id', '1')}?format=text`;
    const { statusCode, headers } = await api.inject(url);
    expect([url, statusCode, headers['content-type']]).toEqual([url, 200, expect.stringMatching(/^text\/plain/)]);
  }
});

test('the events are described as a stream', async () => {
  const { api } = harness();
  const { get } = Object(Object((await documentOf(api)).paths)['/v1/events']);
  expect(Object.keys(get.responses['200'].content)).toEqual(['text/event-stream', 'text/plain']);
  expect(get.parameters).toContainEqual(expect.objectContaining({ in: 'header', name: 'last-event-id' }));
});

describe('answers are as described', () => {
  const gets = [...OPERATIONS.keys()].filter(
    // The events do not end, and neither they nor metrics are JSON.
    (name) => name.startsWith('GET ') && !/:|metrics|events/.test(name),
  );

  test.each(gets)('%s', async (name) => {
    const { api } = harness();
    const path = name.replace('GET ', '');
    const { paths } = await documentOf(api);
    const item = Object(paths)[path];
    const schema = item.get.responses['200'].content['application/json'].schema;
    const answer = await api.inject(path);
    expect(answer.statusCode).toBe(200);
    const validate = new Ajv2020({ strict: false }).compile(schema);
    const isValid = validate(answer.json());
    expect(validate.errors ?? []).toEqual([]);
    expect(isValid).toBe(true);
  });

  test('a problem', async () => {
    const { api } = harness();
    const { paths } = await documentOf(api);
    const schema = Object(paths)['/v1/policy'].patch.responses['4XX'].content['application/problem+json'].schema;
    const answer = await api.inject({ method: 'PATCH', url: '/v1/policy', payload: { fastUtilization: 9 } });
    expect(isJsonObject(answer.json())).toBe(true);
    expect(new Ajv2020({ strict: false }).compile(schema)(answer.json())).toBe(true);
  });
});

describe('headers and queries', () => {
  const operation = async (method: string, path: string) => {
    const { paths } = await documentOf(harness().api);
    return Object(paths)[path][method];
  };
  const named = (parameters: readonly { readonly in: string; readonly name: string }[], place: string) =>
    parameters.filter((parameter) => parameter.in === place).map(({ name }) => name);

  test.each(['patch', 'put'])('of %s /v1/policy', async (method) => {
    const { parameters, responses } = await operation(method, '/v1/policy');
    expect(named(parameters, 'header')).toEqual(['if-match', 'if-none-match']);
    expect(named(parameters, 'query')).toEqual(['dryRun']);
    expect(Object.keys(responses['200'].headers)).toEqual(['etag', 'tierd-warning']);
    expect(responses['200'].headers.etag.description).toContain('If-Match');
  });

  test('of GET /v1/policy', async () => {
    const { parameters, responses } = await operation('get', '/v1/policy');
    expect(named(parameters, 'header')).toEqual(['if-none-match']);
    expect(named(parameters, 'query')).toEqual(['format', 'columns', 'sources']);
    expect(Object.keys(responses['200'].headers)).toEqual(['etag']);
  });

  test.each(['/v1/pause', '/v1/resume'])('of POST %s', async (path) => {
    expect(Object.keys((await operation('post', path)).responses['200'].headers)).toEqual(['tierd-warning']);
  });

  test('of POST /v1/migrations, which answers with 201 and nothing else', async () => {
    const { responses } = await operation('post', '/v1/migrations');
    expect(Object.keys(responses)).toEqual(['201', '4XX', '5XX']);
    expect(Object.keys(responses['201'].headers)).toEqual(['location']);
  });

  test('the token is for TCP, and may be left out', async () => {
    const { components, security, servers } = await documentOf(harness().api);
    expect(Object(components).securitySchemes.token).toMatchObject({ type: 'http', scheme: 'bearer' });
    expect(Object(components).securitySchemes.token.description).toContain('TCP only');
    expect(security).toEqual([{}, { token: [] }]);
    expect(Object(servers)[1].url).toContain('127.0.0.1');
  });
});
