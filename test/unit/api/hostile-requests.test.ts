import fc from 'fast-check';
import type { InjectOptions } from 'fastify';
import { expect, test } from 'vitest';
import { OPERATIONS } from '../../../api/openapi/operations.ts';
import { harness } from './harness.ts';

const REQUESTS = 20_000;

/** What follows for ever is tested by itself. */
const paths = [...new Set([...OPERATIONS.keys()].map((name) => name.replace(/^\w+ /, '')))].filter(
  (path) => path !== '/v1/events',
);
const methods = ['GET', 'HEAD', 'POST', 'PUT', 'PATCH', 'DELETE', 'OPTIONS'] as const;

const words = fc.oneof(
  fc.string({ unit: 'binary', maxLength: 20 }),
  fc.constantFrom(
    '1',
    '-1',
    '0',
    'NaN',
    '1e999',
    'true',
    'json',
    'text',
    '..',
    '%00',
    '%',
    '__proto__',
    'a'.repeat(5000),
  ),
);
const ids = fc.oneof(
  fc.nat({ max: 40 }).map(String),
  fc.constantFrom('0', '-1', '1.5', '01', '1e0', '9007199254740993', '%31', '1%00', '0x1', ' 1', '+1'),
);
const path = fc.oneof(
  { weight: 8, arbitrary: fc.constantFrom(...paths).map((known) => known.replace(':id', '1')) },
  // Migrations that there are, and numbers that look like theirs.
  { weight: 1, arbitrary: ids.map((id) => `/v1/migrations/${id}`) },
  { weight: 2, arbitrary: fc.tuple(fc.constantFrom(...paths), words).map(([known, id]) => known.replace(':id', id)) },
  { weight: 2, arbitrary: words.map((word) => `/v1/${word}`) },
  {
    weight: 1,
    arbitrary: fc.constantFrom('//', '/v1//status', '/v1/status/', '/..%2f..%2fetc/passwd', '/V1/STATUS', '/*'),
  },
);
const query = fc.oneof(
  { weight: 4, arbitrary: fc.constant('') },
  {
    weight: 3,
    arbitrary: fc
      .tuple(
        fc.oneof(
          fc.constantFrom(
            'format',
            'limit',
            'dryRun',
            'sources',
            'nodeId',
            'sinceSeconds',
            'stepSeconds',
            'sort',
            '__proto__',
          ),
          words,
        ),
        words,
      )
      .map(([key, value]) => `?${encode(key)}=${encode(value)}`),
  },
  { weight: 1, arbitrary: words.map((word) => `?${word}&&=&${word}`) },
);
const keys = fc.constantFrom(
  'fastUtilization',
  'promotion',
  'cgroups',
  'pid',
  'from',
  'to',
  'cgroup',
  'weights',
  '__proto__',
  'constructor',
  '',
);
const values = fc.oneof(
  fc.constantFrom(0.5, 0.9, -1, 1e308, null, true, 'auto', [], {}, [1, 2], { include: ['/a'] }, { minAccessRate: 0.5 }),
  fc.jsonValue({ maxDepth: 2 }),
);
const nodeIds = fc.constantFrom('0', '1', '01', '-1', '9999', '10000', 'x', '', '__proto__', 'constructor');
const weights = fc.oneof(
  fc.constantFrom('kernel', 'recommended', 'auto', '', null, {}, []),
  fc.dictionary(
    nodeIds,
    fc.oneof(fc.constantFrom(1, 255, 3, 0, 256, -1, 1.5, '1', null), fc.jsonValue({ maxDepth: 1 })),
    {
      maxKeys: 4,
    },
  ),
);
const cgroups = fc.oneof(
  fc.constantFrom('/', '/system.slice', '/a/b', 'a', '/..', '/a/../b', '/a\0', '/a\n', '', null, 1, '/'.repeat(5000)),
  fc.string({ unit: 'binary', maxLength: 20 }).map((name) => `/${name}`),
);
const order = fc.record(
  {
    pid: fc.constantFrom(1, 4711, 0, -1, 1.5, 1e9, '1', null),
    cgroup: cgroups,
    from: fc.constantFrom(1, 0, [1], [0, 1], [], 7, 'x', null),
    to: fc.constantFrom(0, 1, 7, '0', null),
    maxBytesPerSecond: fc.constantFrom(2 ** 20, 2 ** 30, 1, 0, -1, 1e300, '1'),
  },
  { requiredKeys: ['from', 'to'] },
);
const body = fc.oneof(
  { weight: 1, arbitrary: weights.map((value) => JSON.stringify({ weights: value })) },
  {
    weight: 2,
    arbitrary: fc
      .oneof(
        fc.constantFrom({ pid: 321, from: 1, to: 0 }, { cgroup: '/a', from: [1], to: 0, maxBytesPerSecond: 2 ** 20 }),
        order,
        order.map(({ pid: _, maxBytesPerSecond: __, ...rest }) => rest),
      )
      .map((value) => JSON.stringify(value)),
  },
  { weight: 4, arbitrary: fc.dictionary(keys, values, { maxKeys: 3 }).map((value) => JSON.stringify(value)) },
  { weight: 1, arbitrary: fc.jsonValue().map((value) => JSON.stringify(value)) },
  { weight: 1, arbitrary: words },
  {
    weight: 1,
    arbitrary: fc.constantFrom('', '{', '{"a":'.repeat(3000), '[[[[', '\u0000', '{"fastUtilization":1e999}'),
  },
);
const headers = fc.record(
  {
    'content-type': fc.constantFrom(
      'application/json',
      'application/merge-patch+json',
      'text/plain',
      '',
      'application/json; charset=x',
    ),
    accept: fc.constantFrom('*/*', 'text/plain', 'application/json;q=0.1, text/plain', ';;;q=q', ''),
    'if-match': fc.constantFrom('*', '"x"', 'W/"x", "y"', ','),
    'if-none-match': fc.constantFrom('*', '"x"', ''),
    host: fc.constantFrom('localhost', 'evil.example'),
  },
  { requiredKeys: ['content-type'] },
);
/** What a client means, so that enough of the requests get past the door. */
const meant = fc.record({
  what: fc.oneof(
    fc.constantFrom(
      ['PATCH', '/v1/policy', '{"fastUtilization":0.5}'] as const,
      ['PUT', '/v1/policy', '{"promotion":{"minAccessRate":0.5}}'] as const,
      ['PATCH', '/v1/interleave', '{"weights":"kernel"}'] as const,
      ['POST', '/v1/migrations', '{"pid":321,"from":1,"to":0}'] as const,
      ['POST', '/v1/pause', ''] as const,
      ['POST', '/v1/resume', ''] as const,
    ),
    fc.nat({ max: 40 }).map((id) => ['DELETE', `/v1/migrations/${id}`, ''] as const),
  ),
  headers,
});
const request = fc.oneof(
  { weight: 20, arbitrary: fc.record({ method: fc.constantFrom(...methods), path, query, body, headers }) },
  {
    weight: 1,
    arbitrary: meant.map(({ what: [method, known, text], headers: sent }) => ({
      method,
      path: known,
      query: '',
      body: text,
      headers: { ...sent, 'content-type': 'application/json' },
    })),
  },
);

function encode(text: string): string {
  return encodeURIComponent(Buffer.from(text).toString());
}

test(`${REQUESTS} requests, valid, malformed and hostile: no 5xx, and a 4xx changes nothing`, async () => {
  const { api, service, saved } = harness();
  const counts = new Map<number, number>();
  const changed = new Set<string>();
  const stateOf = () => ({
    policy: service.policy(),
    paused: service.pausedSince(),
    saved: saved.length,
    migrations: service.migrations.list(),
    interleaved: service.interleave.orders.length,
  });
  for (const { method, path: url, query: search, body: payload, headers: sent } of fc.sample(request, {
    numRuns: REQUESTS,
    seed: 42,
  })) {
    const before = stateOf();
    const hasBody = !['GET', 'HEAD', 'OPTIONS'].includes(method);
    const options: InjectOptions = { method, url: `${url}${search}`, headers: sent, ...(hasBody && { payload }) };
    const { statusCode } = await api.inject(options);
    counts.set(statusCode, (counts.get(statusCode) ?? 0) + 1);
    expect(statusCode, JSON.stringify(options).slice(0, 500)).toBeLessThan(500);
    if (statusCode >= 400) {
      expect(stateOf(), JSON.stringify(options).slice(0, 500)).toEqual(before);
    } else if (statusCode < 300 && hasBody) {
      changed.add(`${method} ${url.replace(/^(\/v1\/migrations)\/.*/, '$1/:id')}`);
    }
  }
  // Of each kind enough: what is always refused at the door tests nothing behind it.
  for (const status of [200, 201, 400, 404, 405, 412, 415, 422]) expect(counts.get(status) ?? 0).toBeGreaterThan(20);
  for (const name of [
    'PATCH /v1/policy',
    'PUT /v1/policy',
    'PATCH /v1/interleave',
    'POST /v1/migrations',
    'DELETE /v1/migrations/:id',
    'POST /v1/pause',
    'POST /v1/resume',
  ]) {
    expect([...changed]).toContain(name);
  }
  expect(Object.prototype).not.toHaveProperty('fastUtilization');
}, 180_000);
