import type { TSchema } from 'typebox';
import Type from 'typebox';
import { describe, expect, test } from 'vitest';
import { ProblemSchema } from '../../../api/problem.ts';
import { compileCheck } from '../../../api/schema/check.ts';
import { SchemesSchema } from '../../../api/views/schemes-view.ts';
import { SnapshotSchema } from '../../../api/views/snapshot-view.ts';
import { StatusSchema } from '../../../api/views/status-view.ts';
import { TopologySchema } from '../../../api/views/topology-view.ts';
import { PolicySchema } from '../../../tiering/policy.ts';
import type { SchemeView } from '../../../tiering/service.ts';
import { largeSnapshot, MIB } from './fake-service.ts';
import { harness } from './harness.ts';

/** The schema with every object closed: an answer has what the schema says, and no more. */
function closed(schema: unknown): unknown {
  if (Array.isArray(schema)) return schema.map(closed);
  if (typeof schema !== 'object' || schema === null) return schema;
  const inner = Object.entries(schema).map(([key, value]) => [key, closed(value)]);
  const isObject = 'type' in schema && schema.type === 'object';
  return { ...Object.fromEntries(inner), ...(isObject ? { additionalProperties: false } : {}) };
}

function violations(schema: TSchema, body: string): unknown {
  const checked = compileCheck(Type.Unsafe<unknown>(Object(closed(schema))))(JSON.parse(body));
  return checked.ok ? [] : checked.violations;
}

describe('GET', () => {
  test.each([
    ['/v1/status', StatusSchema],
    ['/v1/topology', TopologySchema],
    ['/v1/policy', PolicySchema],
    ['/v1/schemes', SchemesSchema],
    ['/v1/snapshot', SnapshotSchema],
  ])('%s answers exactly what its schema says', async (url, schema) => {
    const { api } = harness();
    const response = await api.inject(url);
    expect(response.statusCode).toBe(200);
    expect(response.headers['content-type']).toBe('application/json; charset=utf-8');
    expect(response.headers['cache-control']).toBe('no-store');
    expect(violations(schema, response.body)).toEqual([]);
  });

  test('status has the version and the host', async () => {
    const { api } = harness();
    const status = (await api.inject('/v1/status')).json();
    expect(status).toMatchObject({ version: '1.2.3', state: 'moving', host: { hostname: 'cxlhost' } });
  });

  test('schemes show an unbounded maximum as null', async () => {
    const { api } = harness();
    const [kdamond] = (await api.inject('/v1/schemes')).json().kdamonds;
    expect(kdamond.schemes[0].pattern.sizeBytes).toEqual({ min: 4096, max: null });
  });

  test('schemes have the quotas in effect, as JSON, text and metric, and none where the kernel does not tell', async () => {
    const { api, service } = harness();
    const [kdamond] = (await api.inject('/v1/schemes')).json().kdamonds;
    expect(kdamond.schemes[0]).toMatchObject({ quota: { bytes: 50 * MIB }, effectiveQuotaBytes: 48 * MIB });
    const text = async () => (await api.inject('/v1/schemes?format=text')).body;
    expect(await text()).toContain('effective quota of node 1, promote: 48.0 MiB');
    const labels = 'node="1",scheme="promote",direction="promotion"';
    const metric = `tierd_scheme_effective_quota_bytes{${labels}} ${48 * MIB}\n`;
    expect((await api.inject('/metrics')).body).toContain(metric);

    const untold = service
      .schemes()
      .map((view) => ({ ...view, schemes: view.schemes.map(({ effectiveQuotaBytes: _, ...rest }) => rest) }));
    service.schemes = () => untold;
    expect((await api.inject('/v1/schemes')).json().kdamonds[0].schemes[0]).not.toHaveProperty('effectiveQuotaBytes');
    expect(await text()).toContain('effective quotas: not told');
    expect((await api.inject('/metrics')).body).not.toContain('tierd_scheme_effective_quota_bytes{');
  });

  test("schemes have the kernel's goal, as JSON and text of at most 100 columns", async () => {
    const { api, service } = harness();
    const goal = { metric: 'node_eligible_mem_bp', nodeId: 0, targetBp: 5500 } as const;
    const range = { start: 0, end: 2 ** 30 };
    const withGoal = ({ scheme, ...view }: SchemeView): SchemeView => ({
      ...view,
      scheme: {
        ...scheme,
        name: `promote to node 0 from /${'long/'.repeat(20)}`,
        quota: { ...scheme.quota, goal },
        filters: [{ type: 'addr', range, matching: true, allow: false }],
      },
    });
    const views = service.schemes().map((view) => ({ ...view, schemes: view.schemes.map(withGoal) }));
    service.schemes = () => views;
    const [kdamond] = (await api.inject('/v1/schemes')).json().kdamonds;
    expect(kdamond.schemes[0]).toMatchObject({ quota: { goal }, filters: [{ type: 'addr', range }] });
    const lines = (await api.inject('/v1/schemes?format=text')).body.split('\n');
    expect(lines.join(' ')).toContain('nothing moves once 55 % of what matches is on node 0');
    expect(Math.max(...lines.map((line) => line.length))).toBeLessThanOrEqual(100);
  });

  test('snapshot has rates, ages, temperatures and totals', async () => {
    const { api } = harness();
    const { nodes } = (await api.inject('/v1/snapshot')).json();
    expect(nodes[0]).toMatchObject({
      nodeId: 0,
      secondsOld: 1,
      nrRegions: 3,
      temperatures: { hotBytes: 0x7fff000, warmBytes: 0x7f00000, coldBytes: 4096 },
    });
    expect(nodes[0].regions[1]).toEqual({
      startAddress: 0x101000,
      endAddress: 0x8100000,
      sizeBytes: 0x7fff000,
      accessRate: 1,
      ageSeconds: 12,
      nrAccesses: 20,
      age: 12,
      temperature: 'hot',
    });
  });

  test('snapshot with a limit has the hottest regions by address', async () => {
    const { api } = harness();
    const { nodes } = (await api.inject('/v1/snapshot?limit=2')).json();
    expect(nodes[0].nrRegions).toBe(3);
    expect(nodes[0].regions.map((region: { nrAccesses: number }) => region.nrAccesses)).toEqual([20, 2]);
  });

  test('snapshot of many regions is whole', async () => {
    const { api, service } = harness();
    service.snapshotList = [largeSnapshot(10_000)];
    const response = await api.inject('/v1/snapshot');
    expect(violations(SnapshotSchema, response.body)).toEqual([]);
    expect(response.json().nodes[0].regions).toHaveLength(10_000);
  });

  test('snapshot before the first aggregation is empty', async () => {
    const { api, service } = harness();
    service.snapshotList = [];
    expect((await api.inject('/v1/snapshot')).json()).toEqual({ nodes: [] });
    expect((await api.inject('/v1/snapshot?format=text')).body).toMatch(/^no snapshot yet/);
  });

  test.each(['/v1/status', '/v1/snapshot'])('%s answers as text when that is preferred', async (url) => {
    const { api } = harness();
    const byHeader = await api.inject({ url, headers: { accept: 'text/plain' } });
    const byQuery = await api.inject(`${url}?format=text`);
    expect(byHeader.headers['content-type']).toBe('text/plain; charset=utf-8');
    expect(byHeader.body).toBe(byQuery.body);
    expect((await api.inject({ url: `${url}?format=json`, headers: { accept: 'text/plain' } })).json()).toBeTypeOf(
      'object',
    );
  });

  test('HEAD has no body', async () => {
    const { api } = harness();
    for (const url of ['/v1/status', '/v1/snapshot']) {
      const response = await api.inject({ method: 'HEAD', url });
      expect([response.statusCode, response.body]).toEqual([200, '']);
    }
  });
});

describe('problems', () => {
  const patch = { method: 'PATCH', url: '/v1/policy' } as const;
  const json = { 'content-type': 'application/json' };

  test.each([
    ['unknown path', { url: '/v1/nothing' }, 404, 'TIERD_NOT_FOUND', 'there is nothing at /v1/nothing'],
    ['unknown path with a query', { url: '/v1?a=b' }, 404, 'TIERD_NOT_FOUND', 'there is nothing at /v1'],
    [
      'method',
      { method: 'POST', url: '/v1/status', payload: 'x' },
      405,
      'TIERD_METHOD_NOT_ALLOWED',
      'POST is not possible on /v1/status: use GET, HEAD',
    ],
    [
      'method, with a trailing slash',
      { method: 'POST', url: '/v1/status/' },
      405,
      'TIERD_METHOD_NOT_ALLOWED',
      'POST is not possible on /v1/status: use GET, HEAD',
    ],
    [
      'method of the index',
      { method: 'DELETE', url: '/' },
      405,
      'TIERD_METHOD_NOT_ALLOWED',
      'DELETE is not possible on /: use GET, HEAD',
    ],
    [
      'method of policy',
      { method: 'DELETE', url: '/v1/policy?x=1' },
      405,
      'TIERD_METHOD_NOT_ALLOWED',
      'DELETE is not possible on /v1/policy: use GET, HEAD, PATCH, PUT',
    ],
    ['malformed address', { url: '/v1/%zz' }, 400, 'TIERD_BAD_REQUEST', "'/v1/%zz' is not a valid url component"],
    [
      'query value',
      { url: '/v1/snapshot?format=xml' },
      400,
      'TIERD_BAD_REQUEST',
      'format: "xml" is not allowed: must be "json" or "text"',
    ],
    [
      'query key',
      { url: '/v1/snapshot?formt=text' },
      400,
      'TIERD_BAD_REQUEST',
      'formt: unknown key: did you mean "format"?',
    ],
    [
      'query on a plain resource',
      { method: 'POST', url: '/v1/pause?x=1' },
      400,
      'TIERD_BAD_REQUEST',
      'x: unknown key: must be left out: there are no keys here',
    ],
    [
      'limit',
      { url: '/v1/snapshot?limit=0' },
      400,
      'TIERD_BAD_REQUEST',
      'limit: "0" is not allowed: must be a whole number from 1 to 999999',
    ],
    [
      'media type',
      { ...patch, headers: { 'content-type': 'text/plain' }, payload: '{}' },
      415,
      'TIERD_MEDIA_TYPE',
      '"text/plain" is not taken: send application/json or application/merge-patch+json',
    ],
    [
      'malformed JSON',
      { ...patch, headers: json, payload: '{"a"' },
      400,
      'TIERD_BAD_REQUEST',
      "Body is not valid JSON but content-type is set to 'application/json'",
    ],
    [
      'empty body',
      { ...patch, headers: json, payload: '' },
      400,
      'TIERD_BAD_REQUEST',
      "Body cannot be empty when content-type is set to 'application/json'",
    ],
    [
      'prototype',
      { ...patch, headers: json, payload: '{"__proto__":{"dryRun":true}}' },
      400,
      'TIERD_BAD_REQUEST',
      "Body is not valid JSON but content-type is set to 'application/json'",
    ],
    [
      'large body',
      { ...patch, headers: json, payload: `"${'x'.repeat(1024 * 1024)}"` },
      413,
      'TIERD_BODY_TOO_LARGE',
      'Request body is too large',
    ],
  ] as const)('%s', async (_name, request, status, code, detail) => {
    const { api, service } = harness();
    const response = await api.inject(request);
    expect(response.headers['content-type']).toBe('application/problem+json; charset=utf-8');
    expect(violations(ProblemSchema, response.body)).toEqual([]);
    expect(response.json()).toMatchObject({ type: `urn:tierd:${code}`, status, code, detail });
    expect(response.statusCode).toBe(status);
    expect(service.applied).toEqual([]);
  });

  test('405 names the methods in Allow, 415 the media types in Accept-Patch', async () => {
    const { api } = harness();
    expect((await api.inject({ method: 'DELETE', url: '/v1/policy' })).headers.allow).toBe('GET, HEAD, PATCH, PUT');
    const refused = await api.inject({ ...patch, headers: { 'content-type': 'text/plain' }, payload: 'x' });
    expect(refused.headers['accept-patch']).toBe('application/json, application/merge-patch+json');
  });

  test('what went wrong inside is for the log', async () => {
    const { api, service, log } = harness();
    service.topology = () => {
      throw new Error('secret');
    };
    const response = await api.inject('/v1/topology');
    expect(response.json()).toMatchObject({ status: 500, code: 'TIERD_INTERNAL', detail: 'see the log of tierd' });
    expect(log.join('')).toContain('secret');
  });
});
