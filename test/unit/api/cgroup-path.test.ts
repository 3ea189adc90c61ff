import { expect, test } from 'vitest';
import { parseConfig } from '../../../daemon/config.ts';
import { harness, patchPolicy } from './harness.ts';

/** What no kernel can look up: a zero byte ends a path, a name has 255 bytes at most. */
const IMPOSSIBLE = ['/a\0b', `/${'x'.repeat(256)}`, `/a/${'ä'.repeat(128)}/b`, '/abcdefg'.repeat(500)];
const POSSIBLE = ['/', `/${'x'.repeat(255)}`, `/a/${'ä'.repeat(127)}/b`, '/abcdefg'.repeat(400)];

test.each(IMPOSSIBLE)('the cgroup path %j is refused as policy, as order and in the file', async (cgroup) => {
  const { api, service, saved } = harness();
  for (const list of ['include', 'exclude']) {
    const refused = await patchPolicy(api, JSON.stringify({ cgroups: { [list]: ['/a', cgroup] } }));
    expect(refused.json()).toMatchObject({ status: 422, errors: [{ key: `cgroups.${list}[1]` }] });
    expect(() => parseConfig(JSON.stringify({ cgroups: { [list]: ['/a', cgroup] } }), 'tierd.yaml')).toThrow(
      `tierd.yaml:1: cgroups.${list}[1]: `,
    );
  }
  const order = await api.inject({ method: 'POST', url: '/v1/migrations', payload: { cgroup, from: 1, to: 0 } });
  expect(order.json()).toMatchObject({ status: 422, errors: [{ key: 'cgroup' }] });
  expect([service.policy().cgroups, saved, service.migrations.list().length]).toEqual([
    { include: [], exclude: [] },
    [],
    harness().service.migrations.list().length,
  ]);
});

test.each(POSSIBLE)('the cgroup path %j is taken', async (cgroup) => {
  const { api } = harness();
  expect((await patchPolicy(api, JSON.stringify({ cgroups: { exclude: [cgroup] } }))).statusCode).toBe(200);
});
