import fc from 'fast-check';
import { describe, expect, test, vi } from 'vitest';
import { DEFAULT_POLICY } from '../../../tiering/policy.ts';
import { harness, patchPolicy } from './harness.ts';

const put = (api: ReturnType<typeof harness>['api'], payload: object, headers: Record<string, string> = {}) =>
  api.inject({ method: 'PUT', url: '/v1/policy', headers, payload });

describe('where the values of the policy come from', () => {
  const layers = { file: { fastUtilization: 0.8, promotion: { minAccessRate: 0.3 } }, commandLine: { dryRun: true } };

  test('is told key by key: command line, REST, file, default', async () => {
    const { api } = harness(layers);
    await patchPolicy(api, '{"fastUtilization":0.7,"demotion":{"minAgeSeconds":9}}');
    const { policy, sources } = (await api.inject('/v1/policy?sources=true')).json();
    expect(policy).toEqual((await api.inject('/v1/policy')).json());
    expect(policy).toMatchObject({ fastUtilization: 0.7, dryRun: true, promotion: { minAccessRate: 0.3 } });
    expect(sources).toMatchObject({
      dryRun: 'command line',
      fastUtilization: 'REST',
      'demotion.minAgeSeconds': 'REST',
      'promotion.minAccessRate': 'file',
      headroomMiB: 'default',
    });
  });

  test('stands beside each value in the text', async () => {
    const { api } = harness(layers);
    await patchPolicy(api, '{"headroomMiB":64}');
    const text = (await api.inject('/v1/policy?format=text')).body;
    expect(text).toMatch(/^KEY +VALUE +FROM$/m);
    expect(text).toMatch(/^headroomMiB +64 +REST$/m);
    expect(text).toMatch(/^fastUtilization +0.8 +file$/m);
    expect(Math.max(...text.split('\n').map((line) => line.length))).toBeLessThanOrEqual(100);
  });

  test('null takes back what REST said, and the file counts again', async () => {
    const { api } = harness(layers);
    await patchPolicy(api, '{"fastUtilization":0.5}');
    expect((await patchPolicy(api, '{"fastUtilization":null}')).json().fastUtilization).toBe(0.8);
  });

  test('what the command line sets is refused to REST, with the way out', async () => {
    const { api, service, saved } = harness(layers);
    const refused = await patchPolicy(api, '{"dryRun":false,"headroomMiB":1}');
    expect(refused.json()).toMatchObject({ status: 409, code: 'TIERD_POLICY_OVERRULED' });
    expect(refused.json().detail).toContain('the command line of tierd sets dryRun');
    expect([service.applied, saved]).toEqual([[], []]);
    expect((await patchPolicy(api, '{"dryRun":true}')).statusCode).toBe(200);
  });
});

describe('a key of the command line that REST had set before', () => {
  const held = { commandLine: { dryRun: true }, rest: { dryRun: false, headroomMiB: 9 } };

  test('does not stand in the way of other keys', async () => {
    const { api, service, saved } = harness(held);
    expect((await patchPolicy(api, '{"fastUtilization":0.7}')).statusCode).toBe(200);
    expect((await put(api, { fastUtilization: 0.6 })).statusCode).toBe(200);
    expect(service.policy()).toMatchObject({ fastUtilization: 0.6, dryRun: true });
    expect(saved[0]).toEqual({ policy: { dryRun: false, headroomMiB: 9, fastUtilization: 0.7 } });
  });

  test('can be taken back, and not be set', async () => {
    const { api, saved } = harness(held);
    expect((await patchPolicy(api, '{"dryRun":false}')).statusCode).toBe(409);
    expect((await patchPolicy(api, '{"dryRun":null}')).statusCode).toBe(200);
    expect(saved).toEqual([{ policy: { headroomMiB: 9 } }]);
  });
});

describe('PUT /v1/policy', () => {
  test('replaces all that REST has said', async () => {
    const { api, saved } = harness({ file: { headroomMiB: 10 } });
    await patchPolicy(api, '{"fastUtilization":0.5,"headroomMiB":20}');
    const response = await put(api, { dryRun: true });
    expect(response.json()).toEqual({ ...DEFAULT_POLICY, headroomMiB: 10, dryRun: true });
    expect(saved.at(-1)).toEqual({ policy: { dryRun: true } });
  });

  test('takes back what GET gave', async () => {
    const { api, service } = harness({ file: { headroomMiB: 10 } });
    const policy = (await api.inject('/v1/policy')).json();
    expect((await put(api, policy)).json()).toEqual(policy);
    expect(service.policy()).toEqual(policy);
  });

  test('null says nothing, so that the file counts', async () => {
    const { api, saved } = harness({ file: { headroomMiB: 10 } });
    const response = await put(api, { headroomMiB: null, promotion: { minAccessRate: null } });
    expect(response.json()).toEqual({ ...DEFAULT_POLICY, headroomMiB: 10 });
    expect((await api.inject('/v1/policy?sources=true')).json().sources).toMatchObject({ headroomMiB: 'file' });
    expect(saved).toEqual([{ policy: { promotion: {} } }]);
  });

  test.each(['PUT', 'PATCH'] as const)('%s of what is nested as deep as a body can be is refused', async (method) => {
    const { api, service } = harness();
    const payload = `${'{"promotion":'.repeat(50_000)}1${'}'.repeat(50_000)}`;
    const headers = { 'content-type': 'application/json' };
    const response = await api.inject({ method, url: '/v1/policy', headers, payload });
    expect(response.json()).toMatchObject({ status: 422, code: 'TIERD_POLICY_INVALID' });
    expect(service.applied).toEqual([]);
  });

  test.each([[{ fastUtilization: 3 }], [{ nothing: 1 }], [[1]]])('%j is refused', async (body) => {
    const { api, service } = harness();
    expect((await put(api, body)).json()).toMatchObject({ status: 422, code: 'TIERD_POLICY_INVALID' });
    expect(service.applied).toEqual([]);
  });
});

describe('ETag', () => {
  test('an update on what was not the newest is refused', async () => {
    const { api, service } = harness();
    const { etag } = (await api.inject('/v1/policy')).headers;
    const headers = { 'if-match': String(etag) };
    expect((await put(api, { fastUtilization: 0.7 }, headers)).statusCode).toBe(200);
    const late = await put(api, { fastUtilization: 0.6 }, headers);
    expect(late.json()).toMatchObject({ status: 412, code: 'TIERD_POLICY_CHANGED' });
    expect(service.policy().fastUtilization).toBe(0.7);
    const { etag: newest } = (await api.inject('/v1/policy')).headers;
    expect((await put(api, { fastUtilization: 0.6 }, { 'if-match': `"other", ${newest}` })).statusCode).toBe(200);
    expect((await put(api, { fastUtilization: 0.5 }, { 'if-match': '*' })).statusCode).toBe(200);
  });

  test('nor with If-None-Match that names what is in force, weakly or by a star', async () => {
    const { api, service } = harness();
    const { etag } = (await api.inject('/v1/policy')).headers;
    for (const tags of ['*', String(etag), `W/${etag}`, `"other", ${etag}`]) {
      const refused = await put(api, { fastUtilization: 0.7 }, { 'if-none-match': tags });
      expect(refused.json()).toMatchObject({ status: 412, code: 'TIERD_POLICY_UNCHANGED' });
      const preview = await api.inject({
        method: 'PATCH',
        url: '/v1/policy?dryRun=true',
        payload: { fastUtilization: 0.7 },
        headers: { 'if-none-match': tags },
      });
      expect(preview.statusCode).toBe(412);
    }
    expect(service.applied).toEqual([]);
    expect((await put(api, { fastUtilization: 0.7 }, { 'if-none-match': '"other"' })).statusCode).toBe(200);
    // It has changed since: the tag that was read is another's now.
    expect((await put(api, { fastUtilization: 0.6 }, { 'if-none-match': String(etag) })).statusCode).toBe(200);
  });

  test('If-Match compares strongly, and goes before If-None-Match', async () => {
    const { api } = harness();
    const { etag } = (await api.inject('/v1/policy')).headers;
    const weak = await put(api, { fastUtilization: 0.7 }, { 'if-match': `W/${etag}` });
    expect(weak.json()).toMatchObject({ status: 412, code: 'TIERD_POLICY_CHANGED' });
    const both = await put(api, { fastUtilization: 0.7 }, { 'if-match': '"old"', 'if-none-match': String(etag) });
    expect(both.json()).toMatchObject({ code: 'TIERD_POLICY_CHANGED' });
  });

  test('what has not changed is not sent again', async () => {
    const { api } = harness();
    const { etag } = (await api.inject('/v1/policy')).headers;
    const ask = () => api.inject({ url: '/v1/policy', headers: { 'if-none-match': String(etag) } });
    const same = await ask();
    expect([same.statusCode, same.body]).toEqual([304, '']);
    await patchPolicy(api, '{"headroomMiB":5}');
    expect((await ask()).statusCode).toBe(200);
  });
});

describe('?dryRun=true', () => {
  test('answers with what would change in the schemes, and changes nothing', async () => {
    const { api, service, saved } = harness();
    const response = await api.inject({
      method: 'PATCH',
      url: '/v1/policy?dryRun=true',
      payload: { dryRun: true, monitoring: { samplingIntervalMs: 40 } },
    });
    expect(response.json().policy).toMatchObject({ dryRun: true });
    expect(response.json().changes).toEqual([
      { nodeId: 1, key: 'samplingIntervalUs', before: 50_000, after: 40_000 },
      { nodeId: 1, scheme: 'promote', key: 'action', before: 'migrate_hot', after: 'stat' },
    ]);
    expect([service.applied, saved]).toEqual([[], []]);
  });

  test('names what is wrong as the change itself would', async () => {
    const { api } = harness();
    const request = { method: 'PUT', url: '/v1/policy?dryRun=true', payload: { fastUtilization: 9 } } as const;
    expect((await api.inject(request)).json()).toMatchObject({ status: 422 });
  });
});

describe('pause and resume', () => {
  test('are saved, and asking twice is no error', async () => {
    const { api, saved } = harness();
    const paused = await api.inject({ method: 'POST', url: '/v1/pause' });
    expect(paused.json()).toEqual({ paused: true, pausedSince: expect.stringMatching(/^\d{4}-/) });
    expect((await api.inject({ method: 'POST', url: '/v1/pause' })).json()).toEqual(paused.json());
    expect(saved).toEqual([{ policy: {}, pausedSince: paused.json().pausedSince }]);
    const resumed = await api.inject({ method: 'POST', url: '/v1/resume' });
    expect(resumed.json()).toEqual({ paused: false });
    expect((await api.inject({ method: 'POST', url: '/v1/resume' })).json()).toEqual({ paused: false });
    expect(saved.at(-1)).toEqual({ policy: {} });
  });
});

describe('what cannot be saved', () => {
  test('is in force, is told in the status, and is saved as soon as that is possible', async () => {
    vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] });
    try {
      const { api, service, settings, saved, disk, log } = harness();
      disk.failure = new Error('ENOSPC: no space left on device');
      expect((await patchPolicy(api, '{"headroomMiB":5}')).statusCode).toBe(200);
      expect(service.policy().headroomMiB).toBe(5);
      expect((await api.inject('/v1/status')).json().settingsProblem).toContain('ENOSPC');
      expect((await api.inject('/v1/status?format=text')).body).toContain('not saved: ENOSPC');
      expect(log.join('')).toContain('not saved');
      delete disk.failure;
      await vi.advanceTimersByTimeAsync(30_000);
      await vi.waitFor(() => expect(saved).toEqual([{ policy: { headroomMiB: 5 } }]));
      expect((await api.inject('/v1/status')).json()).not.toHaveProperty('settingsProblem');
      await settings.close();
    } finally {
      vi.useRealTimers();
    }
  });
});

test('whatever was set, a restart with what was saved gives the same policy', async () => {
  const patches = fc.array(
    fc.record(
      {
        fastUtilization: fc.constantFrom(null, 0.5, 0.9, 7),
        headroomMiB: fc.constantFrom(null, 'auto', 10),
        promotion: fc.constantFrom(null, { minAccessRate: 0.5 }, { minAccessRate: null, maxMiBPerSecond: 8 }),
      },
      { requiredKeys: [] },
    ),
    { maxLength: 6 },
  );
  const file = { fastUtilization: 0.7, promotion: { minAgeSeconds: 1 } };
  await fc.assert(
    fc.asyncProperty(patches, async (bodies) => {
      const before = harness({ file });
      // As the daemon does at its start.
      await before.settings.patch({});
      for (const body of bodies) await patchPolicy(before.api, JSON.stringify(body));
      const after = harness({ file, rest: before.saved.at(-1)?.policy ?? {} });
      await after.settings.patch({});
      expect(after.service.policy()).toEqual(before.service.policy());
      expect(after.settings.sources()).toEqual(before.settings.sources());
    }),
    { numRuns: 200 },
  );
});
