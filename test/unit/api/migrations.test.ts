import type { TSchema } from 'typebox';
import Type from 'typebox';
import { describe, expect, test } from 'vitest';
import type { Api } from '../../../api/routes/context.ts';
import { compileCheck } from '../../../api/schema/check.ts';
import { migrationsText, migrationText } from '../../../api/text/migrations-text.ts';
import { MigrationSchema, MigrationsSchema } from '../../../api/views/migration-view.ts';
import { MigrationQueueFullError, MigrationTargetError } from '../../../tiering/jobs/errors.ts';
import type { MigrationJob } from '../../../tiering/jobs/migration-job.ts';
import { MIB } from './fake-service.ts';
import { harness, patchPolicy } from './harness.ts';

const ORDER = { pid: 321, from: 1, to: 0 };

const HALF_WAY: MigrationJob = {
  id: 12,
  state: 'running',
  target: { cgroup: '/system.slice/a-service-with-a-long-name.service' },
  from: [1, 2],
  to: 0,
  maxBytesPerSecond: 200 * MIB,
  createdAt: '2026-11-23T05:01:00.000Z',
  startedAt: '2026-11-23T05:01:01.000Z',
  processes: { seen: 3, gone: 1 },
  scannedBytes: 400 * MIB,
  totalBytes: 300 * MIB,
  movedBytes: 120 * MIB,
  failedBytes: 30 * MIB,
  failures: [
    { reason: 'process exited', errno: 'ESRCH', bytes: 29 * MIB },
    { reason: 'busy', errno: 'EBUSY', bytes: MIB },
  ],
  bytesPerSecond: 180.5 * MIB,
  progress: 0.5,
  message: 'moving memory of process 322',
};

function post(api: Api, body: unknown) {
  return api.inject({ method: 'POST', url: '/v1/migrations', payload: JSON.stringify(body), headers: JSON_BODY });
}

const JSON_BODY = { 'content-type': 'application/json' };

function fits(schema: TSchema, body: unknown): boolean {
  return compileCheck(Type.Unsafe<unknown>(schema))(body).ok;
}

describe('POST /v1/migrations', () => {
  test('answers with the migration and its address', async () => {
    const { api } = harness();
    const response = await post(api, { ...ORDER, maxBytesPerSecond: 50 * MIB });
    expect(response.statusCode).toBe(201);
    expect(response.headers.location).toBe('/v1/migrations/1');
    expect(response.json()).toMatchObject({
      id: 1,
      state: 'queued',
      target: { pid: 321 },
      from: [1],
      to: 0,
      maxBytesPerSecond: 50 * MIB,
    });
    expect(fits(MigrationSchema, response.json())).toBe(true);
    expect((await api.inject('/v1/migrations/1')).json()).toEqual(response.json());
  });

  test('takes a cgroup, and a list of nodes', async () => {
    const { api } = harness();
    const response = await post(api, { cgroup: '/web', from: [1, 1], to: 0 });
    expect(response.json()).toMatchObject({ target: { cgroup: '/web' }, from: [1], to: 0 });
  });

  test("is as fast as the slower of the policy's two directions when nothing is said", async () => {
    const { api } = harness();
    await patchPolicy(api, '{"promotion":{"maxMiBPerSecond":300},"demotion":{"maxMiBPerSecond":1.5}}');
    expect((await post(api, ORDER)).json().maxBytesPerSecond).toBe(1.5 * MIB);
  });

  test.each([
    [{ from: 1, to: 0 }, 'pid: nothing is not allowed: must be given, or cgroup in its place'],
    [{ ...ORDER, cgroup: '/web' }, 'cgroup: "/web" is not allowed: must be left out when pid is given'],
    [{ ...ORDER, pid: 0 }, 'pid: 0 is not allowed: must be a process id'],
    [{ ...ORDER, pid: '321' }, 'pid: "321" is not allowed: must be a process id'],
    [
      { cgroup: '/a/../b', from: 1, to: 0 },
      'cgroup: "/a/../b" is not allowed: must be an absolute path of at most 4096 characters',
    ],
    [{ cgroup: '/a\0b', from: 1, to: 0 }, 'cgroup: "/a\\u0000b" is not allowed: must be a path without NUL'],
    [
      { pid: 321, to: 0 },
      '{"pid":321,"to":0} is not allowed: must be a mapping with the keys pid, cgroup, from, to, maxBytesPerSecond',
    ],
    [{ ...ORDER, from: [] }, 'from: [] is not allowed: must be a node id or a list of node ids'],
    [{ ...ORDER, from: 7 }, 'from: 7 is not allowed: must be a node with memory: 0, 1'],
    [{ ...ORDER, from: [1, 9] }, 'from[1]: 9 is not allowed: must be a node with memory: 0, 1'],
    [{ ...ORDER, to: 2 }, 'to: 2 is not allowed: must be a node with memory: 0, 1'],
    [{ ...ORDER, to: 1 }, 'to: 1 is not allowed: must be another node than in from'],
    [{ ...ORDER, from: [0, 1] }, 'to: 0 is not allowed: must be another node than in from'],
    [
      { ...ORDER, maxBytesPerSecond: 5 },
      'maxBytesPerSecond: 5 is not allowed: must be an integer from 1048576 to 1048576000000',
    ],
    [{ ...ORDER, maxBytesPerSec: MIB }, 'maxBytesPerSec: unknown key: did you mean "maxBytesPerSecond"?'],
    [[], '[] is not allowed: must be a mapping with the keys pid, cgroup, from, to, maxBytesPerSecond'],
  ])('refuses %j', async (body, detail) => {
    const { api, service } = harness();
    const response = await post(api, body);
    expect(response.json()).toMatchObject({ status: 422, code: 'TIERD_MIGRATION_INVALID', detail });
    expect(response.json().errors).toHaveLength(1);
    expect(service.migrations.jobs.size).toBe(0);
  });

  test('names everything that is wrong at once', async () => {
    const { api } = harness();
    const keys = (await post(api, { from: 5, to: 6 })).json().errors.map((error: { key: string }) => error.key);
    expect(keys).toEqual(['pid', 'from', 'to']);
  });

  test('knows no node before the engine does', async () => {
    const { api, service } = harness();
    service.topology = () => ({ nodes: [], tiers: [], tierSource: 'kernel', paths: [] });
    expect((await post(api, ORDER)).json().errors[0]).toMatchObject({
      key: 'from',
      value: 1,
      allowed: 'a node with memory: none is known yet',
    });
  });

  test('of a process that is not there names it', async () => {
    const { api, service } = harness();
    service.migrations.refusal = new MigrationTargetError('pid', 321, 'the id of a process that runs');
    expect((await post(api, ORDER)).json()).toMatchObject({
      status: 422,
      code: 'TIERD_MIGRATION_INVALID',
      detail: 'pid: 321 is not allowed: must be the id of a process that runs',
      errors: [{ key: 'pid', value: 321, allowed: 'the id of a process that runs' }],
    });
  });

  test('is refused when too many wait', async () => {
    const { api, service } = harness();
    service.migrations.refusal = new MigrationQueueFullError(100);
    expect((await post(api, ORDER)).json()).toMatchObject({ status: 429, code: 'TIERD_MIGRATION_QUEUE_FULL' });
  });

  test('names the media types it takes', async () => {
    const { api } = harness();
    const refused = await api.inject({
      method: 'POST',
      url: '/v1/migrations',
      payload: 'x',
      headers: { 'content-type': 'text/plain' },
    });
    expect(refused.statusCode).toBe(415);
    expect(refused.headers['accept-post']).toContain('application/json');
  });
});

describe('GET /v1/migrations', () => {
  test('lists them', async () => {
    const { api, service } = harness();
    expect((await api.inject('/v1/migrations')).json()).toEqual({ migrations: [] });
    service.migrations.jobs.set(12, HALF_WAY);
    const { migrations } = (await api.inject('/v1/migrations')).json();
    expect(migrations).toEqual([HALF_WAY]);
    expect(fits(MigrationsSchema, { migrations })).toBe(true);
  });

  test.each(['/v1/migrations', '/v1/migrations/12'])('%s is text when that is preferred', async (url) => {
    const { api, service } = harness();
    service.migrations.jobs.set(12, HALF_WAY);
    const byHeader = await api.inject({ url, headers: { accept: 'text/plain' } });
    expect(byHeader.headers['content-type']).toBe('text/plain; charset=utf-8');
    expect(byHeader.body).toBe((await api.inject(`${url}?format=text`)).body);
    expect(byHeader.body).toContain('running');
  });

  test.each([
    '/v1/migrations/13',
    '/v1/migrations/x',
    '/v1/migrations/13?format=text',
    '/v1/migrations/0xc',
    '/v1/migrations/012',
    '/v1/migrations/1.2e1',
  ])('%s is not there', async (url) => {
    const { api, service } = harness();
    service.migrations.jobs.set(12, HALF_WAY);
    const path = url.replace('?format=text', '');
    expect((await api.inject(url)).json()).toMatchObject({ status: 404, detail: `there is nothing at ${path}` });
    expect((await api.inject({ method: 'DELETE', url: path })).statusCode).toBe(404);
  });
});

describe('DELETE /v1/migrations/ID', () => {
  test('answers with the migration once it has stopped', async () => {
    const { api, service } = harness();
    service.migrations.jobs.set(12, HALF_WAY);
    const response = await api.inject({ method: 'DELETE', url: '/v1/migrations/12' });
    expect(response.statusCode).toBe(200);
    expect(response.json()).toEqual({ ...HALF_WAY, state: 'cancelled' });
  });

  test('is the only way to change one', async () => {
    const { api } = harness();
    const response = await api.inject({ method: 'PUT', url: '/v1/migrations/12' });
    expect(response.json()).toMatchObject({
      status: 405,
      detail: 'PUT is not possible on /v1/migrations/12: use GET, HEAD, DELETE',
    });
  });
});

describe('in a terminal', () => {
  test('the list has a line each', () => {
    const done: MigrationJob = { ...HALF_WAY, id: 3, state: 'done', target: { pid: 4711 }, from: [1], progress: 1 };
    expect(migrationsText([done, HALF_WAY])).toBe(
      [
        'ID  STATE    OF                          NODES       DONE      MOVED    FAILED         RATE',
        ' 3  done     process 4711                1 to 0     100 %  120.0 MiB  30.0 MiB  180.5 MiB/s',
        '12  running  ...ith-a-long-name.service  1,2 to 0  50.0 %  120.0 MiB  30.0 MiB  180.5 MiB/s',
        '',
      ].join('\n'),
    );
    expect(migrationsText([])).toBe('no migrations\n');
  });

  test('one of them has its reasons', () => {
    expect(migrationText(HALF_WAY).split('\n').slice(3)).toEqual([
      '300.0 MiB of 3 processes, 1 of them gone; at most 200.0 MiB/s',
      'moving memory of process 322',
      '29.0 MiB failed: process exited (ESRCH)',
      '1.0 MiB failed: busy (EBUSY)',
      '',
    ]);
  });

  test('no line is wider than 100 columns', () => {
    const wide: MigrationJob = {
      ...HALF_WAY,
      message: 'a word '.repeat(40),
      from: Array.from({ length: 60 }, (_, id) => id),
    };
    const text = `${migrationText(wide)}${migrationsText([wide])}`;
    expect(text).toContain('0,1,2,3,... to 0  50.0 %  120.0 MiB  30.0 MiB  180.5 MiB/s');
    for (const line of text.split('\n')) {
      expect(line.length).toBeLessThanOrEqual(100);
    }
  });
});
