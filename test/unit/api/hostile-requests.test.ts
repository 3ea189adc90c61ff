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
const path = fc.oneof(
  { weight: 8, arbitrary: fc.constantFrom(...paths).map((known) => known.replace(':id', '1')) },
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
  '__proto__',
  'constructor',
  '',
);
const values = fc.oneof(
  fc.constantFrom(0.5, 0.9, -1, 1e308, null, true, 'auto', [], {}, [1, 2], { include: ['/a'] }, { minAccessRate: 0.5 }),
  fc.jsonValue({ maxDepth: 2 }),
);
const body = fc.oneof(
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
const request = fc.record({ method: fc.constantFrom(...methods), path, query, body, headers });

function encode(text: string): string {
  return encodeURIComponent(Buffer.from(text).toString());
}

test(`${REQUESTS} requests, valid, malformed and hostile: no 5xx, and a 4xx changes nothing`, async () => {
  const { api, service, saved } = harness();
  const counts = new Map<number, number>();
  for (const { method, path: url, query: search, body: payload, headers: sent } of fc.sample(request, {
    numRuns: REQUESTS,
    seed: 42,
  })) {
    const [policy, paused, savedBefore] = [service.policy(), service.pausedSince(), saved.length];
    const hasBody = !['GET', 'HEAD', 'OPTIONS'].includes(method);
    const options: InjectOptions = { method, url: `${url}${search}`, headers: sent, ...(hasBody && { payload }) };
    const { statusCode } = await api.inject(options);
    counts.set(statusCode, (counts.get(statusCode) ?? 0) + 1);
    expect(statusCode, JSON.stringify(options).slice(0, 500)).toBeLessThan(500);
    if (statusCode >= 400) {
      expect(service.policy()).toBe(policy);
      expect(service.pausedSince()).toBe(paused);
      expect(saved.length).toBe(savedBefore);
    }
  }
  // Of each kind enough: what is always refused at the door tests nothing behind it.
  for (const status of [200, 400, 404, 405, 415, 422]) expect(counts.get(status) ?? 0).toBeGreaterThan(20);
  expect(Object.prototype).not.toHaveProperty('fastUtilization');
}, 180_000);
