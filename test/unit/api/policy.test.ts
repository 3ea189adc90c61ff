import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { SysFsError } from '../../../numa/sysfs.ts';
import { DEFAULT_POLICY } from '../../../tiering/policy.ts';
import { harness, patchPolicy } from './harness.ts';

describe('PATCH /v1/policy', () => {
  test('merges, applies once and answers with the new policy', async () => {
    const { api, service } = harness();
    const expected = {
      ...DEFAULT_POLICY,
      fastUtilization: 0.6,
      promotion: { ...DEFAULT_POLICY.promotion, maxMiBPerSecond: 50 },
    };
    const response = await patchPolicy(api, '{"fastUtilization":0.6,"promotion":{"maxMiBPerSecond":50}}');
    expect(response.statusCode).toBe(200);
    expect(response.json()).toEqual(expected);
    expect(service.applied).toEqual([expected]);
    expect((await api.inject('/v1/policy')).json()).toEqual(expected);
  });

  test('takes application/json as well', async () => {
    const { api } = harness();
    expect((await patchPolicy(api, '{"dryRun":true}', 'application/json; charset=utf-8')).json().dryRun).toBe(true);
  });

  test('null sets a key, or a whole group, to its default', async () => {
    const { api } = harness();
    await patchPolicy(api, '{"fastUtilization":0.5,"monitoring":{"samplingIntervalMs":20,"minRegions":50}}');
    const half = await patchPolicy(api, '{"fastUtilization":null,"monitoring":{"minRegions":null}}');
    expect(half.json().monitoring).toEqual({ ...DEFAULT_POLICY.monitoring, samplingIntervalMs: 20 });
    expect((await patchPolicy(api, '{"monitoring":null}')).json()).toEqual(DEFAULT_POLICY);
  });

  test('is refused whole, naming each wrong key, its value and what is allowed', async () => {
    const { api, service } = harness();
    const body = '{"fastUtilization":0.5,"promotion":{"minAccessRate":3},"dry_run":true,"headroomMiB":"much"}';
    const response = await patchPolicy(api, body);
    expect(response.statusCode).toBe(422);
    expect(response.json().errors).toEqual([
      {
        key: 'dry_run',
        value: true,
        allowed:
          'one of the keys fastUtilization, hotShare, headroomMiB, promotion, demotion, monitoring, movePages, cgroups, onSwitchOff, dryRun',
        detail: 'unknown key: did you mean "dryRun"?',
      },
      {
        key: 'headroomMiB',
        value: 'much',
        allowed: '"auto" or an integer from 0 to 10000000',
        detail: '"much" is not allowed: must be "auto" or an integer from 0 to 10000000',
      },
      {
        key: 'promotion.minAccessRate',
        value: 3,
        allowed: 'a number from 0.01 to 1',
        detail: '3 is not allowed: must be a number from 0.01 to 1',
      },
    ]);
    expect(service.applied).toEqual([]);
    expect(service.policy()).toEqual(DEFAULT_POLICY);
  });

  test.each([
    [
      '{"monitoring":{"samplingIntervalMs":300,"aggregationIntervalMs":1000}}',
      'monitoring.aggregationIntervalMs: 1000 is not allowed: must be at least 1500 (5 times monitoring.samplingIntervalMs)',
    ],
    [
      '{"monitoring":{"minRegions":500,"maxRegions":400}}',
      'monitoring.maxRegions: 400 is not allowed: must be at least 500 (monitoring.minRegions)',
    ],
    [
      '{"monitoring":{"minSamplingIntervalMs":100,"maxSamplingIntervalMs":50}}',
      'monitoring.maxSamplingIntervalMs: 50 is not allowed: must be at least 100 (monitoring.minSamplingIntervalMs)',
    ],
    [
      '[]',
      '[] is not allowed: must be a mapping with the keys fastUtilization, hotShare, headroomMiB, promotion, demotion, monitoring, movePages, cgroups, onSwitchOff, dryRun',
    ],
    [
      'null',
      'null is not allowed: must be a mapping with the keys fastUtilization, hotShare, headroomMiB, promotion, demotion, monitoring, movePages, cgroups, onSwitchOff, dryRun',
    ],
    ['{"minAgeSeconds":1}', 'minAgeSeconds: unknown key: did you mean "promotion.minAgeSeconds"?'],
    [
      '{"promotion":{"maxMiBPerSec":1}}',
      'promotion.maxMiBPerSec: unknown key: did you mean "promotion.maxMiBPerSecond"?',
    ],
  ])('%s is refused', async (body, detail) => {
    const { api, service } = harness();
    const response = await patchPolicy(api, body);
    expect(response.json()).toMatchObject({ status: 422, detail });
    expect(service.applied).toEqual([]);
  });

  test('concurrent patches lose nothing', async () => {
    const { api, service } = harness();
    const bodies = ['{"fastUtilization":0.7}', '{"dryRun":true}', '{"fastUtilization":7}', '{"headroomMiB":64}'];
    const responses = await Promise.all(bodies.map((body) => patchPolicy(api, body)));
    expect(responses.map(({ statusCode }) => statusCode)).toEqual([200, 200, 422, 200]);
    expect(service.policy()).toEqual({ ...DEFAULT_POLICY, fastUtilization: 0.7, dryRun: true, headroomMiB: 64 });
  });

  test('a refusal of the kernel is a 503 that names it, and the next patch goes through', async () => {
    const { api, service, log } = harness();
    service.refusal = new SysFsError(
      'write',
      '/sys/kernel/mm/damon/x',
      Object.assign(new Error('busy'), { code: 'EBUSY' }),
      '5',
    );
    const refused = await patchPolicy(api, '{"dryRun":true}');
    expect(refused.json()).toMatchObject({
      status: 503,
      code: 'TIERD_SYSFS',
      detail: 'cannot write "5" to /sys/kernel/mm/damon/x: EBUSY',
    });
    expect(log.join('')).toContain('request failed');
    service.refusal = undefined;
    expect((await patchPolicy(api, '{"dryRun":true}')).statusCode).toBe(200);
  });
});

describe('hostile bodies', () => {
  const keys = fc.constantFrom(
    ...Object.keys(DEFAULT_POLICY),
    ...Object.keys(DEFAULT_POLICY.promotion),
    ...Object.keys(DEFAULT_POLICY.monitoring),
    'include',
    'constructor',
    'toString',
    '__proto__',
    'prototype',
    '',
  );
  const scalars = fc.oneof(
    fc.double(),
    fc.integer(),
    fc.boolean(),
    fc.string(),
    fc.constantFrom(null, 'auto', '/a', 0.5, 1e308, -0),
  );
  const { tree } = fc.letrec<{ tree: unknown }>((tie) => ({
    tree: fc.oneof(
      { maxDepth: 4 },
      scalars,
      fc.array(tie('tree'), { maxLength: 4 }),
      fc
        .array(fc.tuple(fc.oneof({ weight: 4, arbitrary: keys }, { weight: 1, arbitrary: fc.string() }), tie('tree')), {
          maxLength: 5,
        })
        .map((entries) => Object.fromEntries(entries)),
    ),
  }));
  const bodies = fc.oneof(
    { weight: 6, arbitrary: tree.map((value) => JSON.stringify(value) ?? 'null') },
    { weight: 1, arbitrary: fc.string() },
    { weight: 1, arbitrary: fc.string({ unit: 'binary' }) },
    {
      weight: 1,
      arbitrary: fc.constantFrom(
        '{"a":'.repeat(100_000),
        `${'{"promotion":'.repeat(50_000)}1${'}'.repeat(50_000)}`,
        `{"cgroups":{"include":${'['.repeat(300_000)}${']'.repeat(300_000)}}}`,
        '{"fastUtilization":1e999}',
        '{"promotion":{"__proto__":{"minAccessRate":0.5}}}',
        '{"constructor":{"prototype":{"dryRun":true}}}',
        `{${Array.from({ length: 50_000 }, (_, index) => `"k${index}":1`).join()}}`,
        `{"cgroups":{"include":[${Array.from({ length: 50_000 }, () => '1').join()}]}}`,
        `{"${'long'.repeat(200_000)}":1}`,
      ),
    },
  );
  const types = fc.constantFrom(
    'application/json',
    'application/merge-patch+json',
    'text/plain',
    'application/xml',
    '',
  );

  test('give no 5xx, and a 4xx changes nothing', async () => {
    const { api, service } = harness();
    await fc.assert(
      fc.asyncProperty(bodies, types, async (body, type) => {
        const before = service.policy();
        const applied = service.applied.length;
        const response = await patchPolicy(api, body, type);
        expect(response.statusCode).toBeLessThan(500);
        if (response.statusCode !== 200) {
          expect(response.headers['content-type']).toBe('application/problem+json; charset=utf-8');
          expect(service.applied).toHaveLength(applied);
          expect(service.policy()).toBe(before);
        }
        expect(Object.prototype).not.toHaveProperty('dryRun');
      }),
      { numRuns: 1500 },
    );
  }, 60_000);
});
