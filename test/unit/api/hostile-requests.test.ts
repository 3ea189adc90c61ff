import { mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import fc from 'fast-check';
import type { InjectOptions } from 'fastify';
import { pino } from 'pino';
import { expect, test } from 'vitest';
import { buildApp } from '../../../api/app.ts';
import { OPERATIONS } from '../../../api/openapi/operations.ts';
import type { SavedSettings } from '../../../api/policy/operator-settings.ts';
import { OperatorSettings } from '../../../api/policy/operator-settings.ts';
import { FakeKernel } from '../../bench/fake-kernel.ts';
import { statLine } from '../numa/page-maps/proc-tree.ts';
import { POLICY, RunningEngine } from '../tiering/running-engine.ts';

const REQUESTS = 20_000;
const SEED = 42;

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
/** A value that is allowed, or now and then another. */
const mostly = (...allowed: readonly unknown[]) =>
  fc.oneof({ weight: 12, arbitrary: fc.constantFrom(...allowed) }, { weight: 1, arbitrary: values });
/** A few of these keys. */
const some = (members: Readonly<Record<string, fc.Arbitrary<unknown>>>): fc.Arbitrary<object> =>
  fc
    .subarray(Object.entries(members), { minLength: 1, maxLength: 2 })
    .chain((chosen) => fc.record(Object.fromEntries(chosen)));
const share = mostly(0.01, 0.05, 0.5, 0.95, 0.99);
const lists = fc.oneof(
  mostly([], ['/a'], ['/a/b', '/none'], ['/none']),
  fc.array(cgroups, { maxLength: 3 }),
  fc.constantFrom(['/sys/fs/cgroup/a'], ['/a*'], [`/${'x'.repeat(300)}`]),
);
const policies = some({
  fastUtilization: share,
  hotShare: share,
  headroomMiB: mostly('auto', 0, 64, 1e7),
  promotion: some({ minAccessRate: share, minAgeSeconds: mostly(0, 5, 3600), maxMiBPerSecond: mostly(1, 300) }),
  demotion: some({ maxAccessRate: share, maxMiBPerSecond: mostly(1, 1e6) }),
  monitoring: some({
    samplingIntervalMs: mostly('auto', 1, 50, 10_000),
    aggregationIntervalMs: mostly('auto', 20, 250, 500, 100_000),
    minRegions: mostly('auto', 10, 1000, 10_000),
    maxRegions: mostly('auto', 30, 4000, 100_000),
  }),
  movePages: some({ settleSeconds: mostly(0, 20), maxCpuShare: share }),
  cgroups: some({ include: lists, exclude: lists }),
  onSwitchOff: mostly('recover', 'stepAside'),
  dryRun: mostly(true, false),
});
/** Bodies for where they belong. */
const bodies: ReadonlyMap<string, fc.Arbitrary<unknown>> = new Map([
  ['PATCH /v1/policy', policies],
  ['PUT /v1/policy', policies],
  ['PATCH /v1/interleave', weights.map((value) => ({ weights: value }))],
  [
    'POST /v1/migrations',
    fc.oneof(fc.constantFrom({ pid: 321, from: 1, to: 0 }, { cgroup: '/a', from: [1], to: 0 }), order),
  ],
]);
/** Without an end, or slower than all others: these are asked for by chance only. */
const RARE = new Set(['GET /v1/events', 'GET /v1/diagnosis', 'POST /v1/probe']);
/** What a client means: the right method and body, so that enough of the requests get past the door. */
const meant = fc.constantFrom(...[...OPERATIONS.keys()].filter((name) => !RARE.has(name))).chain((name) => {
  const [, verb = '', known = ''] = /^(\S+) (.*)$/.exec(name) ?? [];
  return fc.record({
    method: fc.constant(verb),
    path: known.endsWith(':id') ? ids.map((id) => known.replace(':id', id)) : fc.constant(known),
    query: fc.oneof({ weight: 3, arbitrary: fc.constant('') }, { weight: 1, arbitrary: query }),
    body: bodies.get(name)?.map((value) => JSON.stringify(value) ?? '') ?? fc.constant(''),
    headers: fc.oneof(
      { weight: 3, arbitrary: fc.constant({ 'content-type': 'application/json' }) },
      { weight: 1, arbitrary: headers },
    ),
  });
});
const request = fc.oneof(
  { weight: 1, arbitrary: fc.record({ method: fc.constantFrom(...methods), path, query, body, headers }) },
  { weight: 1, arbitrary: meant },
);

function weightsOf({ root }: FakeKernel): readonly string[] {
  const folder = join(root, '/sys/kernel/mm/mempolicy/weighted_interleave');
  return readdirSync(folder).map((name) => readFileSync(join(folder, name), 'utf8'));
}

function encode(text: string): string {
  return encodeURIComponent(Buffer.from(text).toString());
}

/** A host with two processes and two cgroups. The processes have no pages, so that no system call is made for them. */
function host(): FakeKernel {
  const kernel = new FakeKernel();
  const write = (path: string, text: string) => {
    mkdirSync(dirname(join(kernel.root, path)), { recursive: true });
    writeFileSync(join(kernel.root, path), text);
  };
  for (const pid of [1, 321]) {
    write(`/proc/${pid}/stat`, statLine(pid, 1000, 10));
    for (const name of ['maps', 'numa_maps', 'pagemap']) write(`/proc/${pid}/${name}`, '');
  }
  for (const [path, procs] of [
    ['', ''],
    ['/a', '321\n'],
    ['/a/b', ''],
  ] as const) {
    write(`/sys/fs/cgroup${path}/cgroup.controllers`, 'memory\n');
    write(`/sys/fs/cgroup${path}/cgroup.procs`, procs);
  }
  return kernel;
}

/** The API over the engine at work; what it measures is made up, as measuring takes a machine. */
async function daemon() {
  const measurement = { readLatencyNs: 100, readBandwidthMiBps: 20_000, writeBandwidthMiBps: 10_000 };
  const probing = { measure: async () => measurement, load: async () => undefined, save: async () => undefined };
  const engine = await RunningEngine.start(POLICY, host(), { probing });
  const saved: SavedSettings[] = [];
  const logger = pino({ level: 'silent' });
  const settings = new OperatorSettings({
    service: engine.runtime,
    // With the short aggregation of the engine's policy.
    layers: { commandLine: {}, rest: {}, file: { monitoring: { aggregationIntervalMs: 250 } } },
    save: async (value) => void saved.push(value),
    invalidate: async () => undefined,
    logger,
  });
  const api = buildApp({ service: engine.runtime, settings, logger, version: '1.2.3', maxWritesPerMinute: 1_000_000 });
  return { api, engine, service: engine.runtime, saved };
}

test(`${REQUESTS} requests to a daemon at work, valid, malformed and hostile: no 5xx, and a 4xx changes nothing`, async () => {
  const { api, engine, service, saved } = await daemon();
  const counts = new Map<number, number>();
  const changed = new Set<string>();
  const stateOf = () => ({
    policy: service.policy(),
    paused: service.pausedSince(),
    saved: saved.length,
    // Of those that have ended only the newest hundred are kept.
    migrations: service.migrations
      .list()
      .map(({ id }) => id)
      .slice(-50),
    weights: weightsOf(engine.kernel),
  });
  for (const { method, path: url, query: search, body: payload, headers: sent } of fc.sample(request, {
    numRuns: REQUESTS,
    seed: SEED,
  })) {
    const before = stateOf();
    const hasBody = !['GET', 'HEAD', 'OPTIONS'].includes(method);
    const options: InjectOptions = Object.assign(
      { url: `${url}${search}`, headers: sent, ...(hasBody && { payload }) },
      { method },
    );
    const { statusCode, body: answer } = await api.inject(options);
    counts.set(statusCode, (counts.get(statusCode) ?? 0) + 1);
    const what = () => `${statusCode} for ${JSON.stringify(options).slice(0, 500)}: ${answer.slice(0, 500)}`;
    expect(statusCode, what()).toBeLessThan(500);
    if (statusCode >= 400) {
      expect(stateOf(), what()).toEqual(before);
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

  // It goes on as if nothing had been.
  expect((await api.inject({ method: 'PUT', url: '/v1/policy', payload: {} })).statusCode).toBe(200);
  expect((await api.inject({ method: 'POST', url: '/v1/resume' })).statusCode).toBe(200);
  const { decisions } = service.heartbeat();
  await expect.poll(() => service.heartbeat().decisions, { timeout: 20_000 }).toBeGreaterThan(decisions);
  await expect.poll(() => service.status().state, { timeout: 20_000 }).toMatch(/^(moving|settled)$/);
  await api.close();
  await engine.stop();
  expect(engine.kernel.damon.value('nr_kdamonds')).toBe('0');
}, 600_000);
