import { Ajv2020 } from 'ajv/dist/2020.js';
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { MIGRATION_RULES } from '../../../api/migration-check.ts';
import { POLICY_RULES } from '../../../api/policy-rules.ts';
import type { Api } from '../../../api/routes/context.ts';
import { MIB } from './fake-service.ts';
import { harness } from './harness.ts';

const BODIES = 1_500;
const PATCH = 'application/merge-patch+json';

type Method = 'PATCH' | 'PUT' | 'POST' | 'DELETE' | 'GET';

/** The schema that the document has for an operation's body, or for its answer with 2xx. */
async function described(api: Api, method: Method, path: string, what: 'body' | 'answer') {
  const { paths } = (await api.inject('/openapi.json')).json();
  const operation = paths[path][method.toLowerCase()];
  const [answer] = Object.entries<{ content: unknown }>(operation.responses).flatMap(([status, response]) =>
    status.startsWith('2') ? [response] : [],
  );
  const { content } = what === 'body' ? operation.requestBody : Object(answer);
  return new Ajv2020({ strict: false }).compile(content['application/json'].schema);
}

const odd = fc.oneof(
  fc.constantFrom(null, true, -1, 0, 1, 1e9, 0.5, '', 'auto', 'kernel', '/a', '/a/../b', [], ['/a'], ['a'], [null], {}),
  fc.constantFrom({ a: null }, { minAccessRate: null }, [0], [0, 1], '1', 1.5, MIB, 2 ** 60, ['/a\n'], ['/a\0']),
  fc.jsonValue({ maxDepth: 2 }),
);
const oddKey = fc.constantFrom('bogus', 'minAccessRate', 'fastUtilisation', 'to_', '01', '1023', '12345', '-1');

/** A mapping of some of these keys, whose values are mostly what is meant for them, at times with a key that nobody knows. */
function mapping(members: Readonly<Record<string, fc.Arbitrary<unknown>>>): fc.Arbitrary<object> {
  const values = Object.fromEntries(
    Object.entries(members).map(([key, value]) => [
      key,
      fc.oneof(
        { weight: 40, arbitrary: value },
        { weight: 1, arbitrary: odd },
        { weight: 1, arbitrary: fc.constant(null) },
      ),
    ]),
  );
  // Few at a time, or else something is wrong nearly always.
  const known = fc
    .tuple(fc.record(values), fc.subarray(Object.keys(values), { maxLength: Math.min(3, Object.keys(values).length) }))
    .map(([body, keys]) => Object.fromEntries(Object.entries(body).filter(([key]) => keys.includes(key))));
  const extra = fc.dictionary(oddKey, odd, { minKeys: 1, maxKeys: 1 });
  return fc.oneof(
    { weight: 6, arbitrary: known },
    { weight: 1, arbitrary: fc.tuple(known, extra).map(([body, more]) => ({ ...body, ...more })) },
  );
}

const share = fc.constantFrom(0, 0.009, 0.01, 0.05, 0.06, 0.5, 0.9, 0.99, 1, 1.01);
const seconds = fc.constantFrom(-1, 0, 5, 3600, 3601);
const mibPerSecond = fc.constantFrom(0.5, 1, 1.5, 300, 1e6, 1e6 + 1);
const paths = fc.oneof(
  fc.constantFrom([], ['/a'], ['/a', '/b/c'], ['a'], ['/..'], ['/a/../b'], ['/a\nb'], [1], '/a'),
  fc.constant(Array.from({ length: 65 }, (_, index) => `/${index}`)),
);
const policies = mapping({
  fastUtilization: share,
  hotShare: share,
  headroomMiB: fc.constantFrom('auto', 'much', 0, 64, 0.5, -1),
  promotion: mapping({ minAccessRate: share, minAgeSeconds: seconds, maxMiBPerSecond: mibPerSecond }),
  demotion: mapping({ maxAccessRate: share, minAgeSeconds: seconds, maxMiBPerSecond: mibPerSecond }),
  monitoring: mapping({
    samplingIntervalMs: fc.constantFrom(0, 1, 50, 300, 10_001),
    aggregationIntervalMs: fc.constantFrom(10, 20, 500, 100_001),
    minRegions: fc.constantFrom('auto', 9, 10, 500, 10_001),
    maxRegions: fc.constantFrom('auto', 29, 30, 400, 100_001),
  }),
  movePages: mapping({ settleSeconds: seconds, maxCpuShare: share }),
  cgroups: mapping({ include: paths, exclude: paths }),
  dryRun: fc.boolean(),
});
const nodeId = fc.constantFrom(0, 1, 1, 0, 2, 1023, 1024, -1, 0.5);
const orders = fc
  .tuple(
    fc.boolean(),
    mapping({
      from: fc.oneof(nodeId, fc.array(nodeId, { maxLength: 3 })),
      to: nodeId,
      maxBytesPerSecond: fc.constantFrom(0.5, MIB - 1, MIB, MIB + 0.5, 1e6 * MIB, 2e6 * MIB),
    }),
    fc.record(
      {
        pid: fc.constantFrom(0, 1, 321, 4711, 4_194_304, 4_194_305, '1'),
        cgroup: fc.constantFrom('/', '/a', 'a', '/a/..', '/a\0'),
      },
      { requiredKeys: [] },
    ),
  )
  .map(([isWhole, body, whose]) => ({ ...(isWhole && { from: 1, to: 0 }), ...body, ...whose }));
const weights = mapping({
  weights: fc.oneof(
    fc.constantFrom('kernel', 'recommended', 'auto', {}),
    fc.dictionary(
      fc.constantFrom('0', '1', '9999', '01', 'x', '12345', '-1'),
      fc.constantFrom(1, 255, 0, 256, 1.5, '1'),
      { maxKeys: 3 },
    ),
  ),
});

/** Refusals that a schema cannot tell of: each must be by a key of these, whose rules the document lists in words. */
const NO_RULES: ReadonlyMap<string, string> = new Map();

test.each([
  ['PATCH', '/v1/policy', policies, POLICY_RULES],
  ['PUT', '/v1/policy', policies, POLICY_RULES],
  ['POST', '/v1/migrations', orders, MIGRATION_RULES],
  ['PATCH', '/v1/interleave', weights, NO_RULES],
] as const)(
  '%s %s takes what the document allows, and nothing else',
  async (method, url, bodies, rules) => {
    const { api } = harness();
    const isDescribed = await described(api, method, url, 'body');
    const arbitrary = fc.oneof({ weight: 10, arbitrary: bodies }, { weight: 1, arbitrary: odd });
    const counts = { taken: 0, refused: 0, byRule: 0 };
    for (const body of fc.sample(arbitrary, { numRuns: BODIES, seed: 7 })) {
      const payload = JSON.stringify(body);
      // What stands in JSON for the reader of the document, too: -0 and undefined do not.
      const isAllowed = isDescribed(JSON.parse(payload));
      // Each by itself: what an earlier one set must not bear on it.
      if (url === '/v1/policy') await api.inject({ method: 'PUT', url, payload: {} });
      const answer = await api.inject({ method, url, headers: { 'content-type': PATCH }, payload });
      const isTaken = answer.statusCode < 300;
      expect(isTaken || [400, 422].includes(answer.statusCode), answer.body).toBe(true);
      if (isTaken || !isAllowed) {
        expect(isAllowed, payload).toBe(isTaken);
        counts[isTaken ? 'taken' : 'refused'] += 1;
        continue;
      }
      counts.byRule += 1;
      for (const { key } of answer.json().errors)
        expect([...rules.keys()], `${payload}: ${answer.body}`).toContain(key.replace(/\[\d+\]$/, ''));
    }
    expect(counts.taken).toBeGreaterThan(BODIES / 100);
    expect(counts.refused).toBeGreaterThan(BODIES / 100);
    if (rules.size > 0) expect(counts.byRule).toBeGreaterThan(0);
  },
  60_000,
);

test.each([
  ['/v1/policy', 'patch', POLICY_RULES],
  ['/v1/policy', 'put', POLICY_RULES],
  ['/v1/migrations', 'post', MIGRATION_RULES],
] as const)('the rules that no schema can tell stand in words: %s %s', async (path, method, rules) => {
  const { api } = harness();
  const { paths: all } = (await api.inject('/openapi.json')).json();
  const { description } = all[path][method];
  for (const [key, rule] of rules) expect(description).toContain(`${key}, ${rule}`);
});

const JSON_BODY = { 'content-type': 'application/json' };

test.each([
  ['PATCH', '/v1/policy', '/v1/policy', { fastUtilization: 0.5 }],
  ['PATCH', '/v1/policy', '/v1/policy?dryRun=true', { dryRun: true }],
  ['PUT', '/v1/policy', '/v1/policy', { hotShare: 0.5 }],
  ['PUT', '/v1/policy', '/v1/policy?dryRun=true', { dryRun: true }],
  ['POST', '/v1/pause', '/v1/pause', undefined],
  ['POST', '/v1/resume', '/v1/resume', undefined],
  ['POST', '/v1/probe', '/v1/probe', undefined],
  ['PATCH', '/v1/interleave', '/v1/interleave', { weights: 'kernel' }],
  ['POST', '/v1/migrations', '/v1/migrations', { pid: 1, from: 1, to: 0 }],
  ['GET', '/v1/migrations/{id}', '/v1/migrations/1', undefined],
  ['GET', '/v1/policy', '/v1/policy?sources=true', undefined],
  ['DELETE', '/v1/migrations/{id}', '/v1/migrations/1', undefined],
] as const)('%s %s answers as the document says: %s', async (method, path, url, body) => {
  const { api } = harness();
  await api.inject({ method: 'POST', url: '/v1/migrations', payload: { cgroup: '/a', from: [1], to: 0 } });
  const isDescribed = await described(api, method, path, 'answer');
  const options = body === undefined ? {} : { headers: JSON_BODY, payload: JSON.stringify(body) };
  const answer = await api.inject({ method, url, ...options });
  expect(answer.statusCode).toBe(method === 'POST' && path === '/v1/migrations' ? 201 : 200);
  isDescribed(answer.json());
  expect(isDescribed.errors ?? []).toEqual([]);
});

test('a policy that is not one does not pass for an answer', async () => {
  const isDescribed = await described(harness().api, 'PATCH', '/v1/policy', 'answer');
  expect(isDescribed({ fastUtilization: 0.5 })).toBe(false);
  expect(isDescribed({})).toBe(false);
});
