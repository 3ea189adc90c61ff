import { describe, expect, test } from 'vitest';
import { harness, patchPolicy } from './harness.ts';

type Harness = ReturnType<typeof harness>;

const post = (api: Harness['api'], url: string) => api.inject({ method: 'POST', url });

/** A change of policy waits until the newest one is let go. */
function holdChanges(service: Harness['service']): () => void {
  let apply: () => void = () => undefined;
  const { setPolicy } = service;
  service.setPolicy = async (policy) => {
    await new Promise<void>((resolve) => {
      apply = resolve;
    });
    await setPolicy.call(service, policy);
  };
  return () => apply();
}

describe('while nothing can be told to a kdamond', () => {
  test('a patch is answered within 2 s as pending, with the policy that was asked for; what is wrong with it, at once', async () => {
    const { api, service } = harness();
    await api.ready();
    const apply = holdChanges(service);
    const startedAtMs = performance.now();
    const answer = await patchPolicy(api, '{"fastUtilization":0.7}');
    expect(performance.now() - startedAtMs).toBeLessThan(2_000);
    expect(answer.statusCode).toBe(202);
    expect(answer.json().fastUtilization).toBe(0.7);
    expect(answer.headers['tierd-warning']).toMatch(/^pending: /);
    expect(service.policy().fastUtilization).toBe(0.95);
    expect((await patchPolicy(api, '{"fastUtilization":7}')).statusCode).toBe(422);
    apply();
    await expect.poll(() => service.policy().fastUtilization).toBe(0.7);
  });

  test('a patch with a condition waits for its turn: only then it shows whether the condition holds', async () => {
    const { api, service } = harness();
    const etag = String((await api.inject({ url: '/v1/policy' })).headers.etag);
    const apply = holdChanges(service);
    const first = patchPolicy(api, '{"fastUtilization":0.7}');
    const second = api.inject({
      method: 'PATCH',
      url: '/v1/policy',
      headers: { 'content-type': 'application/json', 'if-match': etag },
      payload: '{"fastUtilization":0.8}',
    });
    expect((await first).statusCode).toBe(202);
    apply();
    expect((await second).statusCode).toBe(412);
    expect(service.policy().fastUtilization).toBe(0.7);
  });

  test('one that is refused after it was told to be pending is logged as that', async () => {
    const { api, service, log } = harness();
    service.setPolicy = () => new Promise((_, reject) => setTimeout(() => reject(new Error('EINVAL')), 1_700));
    expect((await patchPolicy(api, '{"fastUtilization":0.7}')).statusCode).toBe(202);
    await expect
      .poll(() => log.join(''))
      .toMatch(/pending is not in force: it was refused.*EINVAL|EINVAL.*it was refused/);
  });

  test('a pause holds and is saved at once, past a patch that hangs; a resume that was asked for before it does not end it', async () => {
    const { api, service, saved } = harness();
    await post(api, '/v1/pause');
    service.setPolicy = () => new Promise(() => undefined);
    expect((await patchPolicy(api, '{"fastUtilization":0.7}')).statusCode).toBe(202);
    const resumed = await post(api, '/v1/resume');
    expect([resumed.statusCode, resumed.json()]).toEqual([
      202,
      expect.objectContaining({ paused: true, pending: true }),
    ]);
    const paused = await post(api, '/v1/pause');
    expect([paused.statusCode, paused.json().paused]).toEqual([200, true]);
    expect(service.pausedSince()).toBeDefined();
    expect(saved.at(-1)?.pausedSince).toBeDefined();
  });

  test('a pause whose kdamonds take their time is told to be pending, and is saved', async () => {
    const { api, service, saved } = harness();
    const { pause } = service;
    service.pause = async (since) => {
      void pause.call(service, since);
      await new Promise(() => undefined);
    };
    const answer = await post(api, '/v1/pause');
    expect([answer.statusCode, answer.json()]).toEqual([202, expect.objectContaining({ paused: true, pending: true })]);
    expect(saved.at(-1)?.pausedSince).toBeDefined();
  });
});

test('a change that one node has not taken is answered with 202, and names it', async () => {
  const { api, service } = harness();
  service.pendingNodes = [1, 3];
  for (const answer of [await patchPolicy(api, '{"fastUtilization":0.7}'), await post(api, '/v1/pause')]) {
    expect(answer.statusCode).toBe(202);
    expect(answer.headers['tierd-warning']).toContain('node 1, 3');
  }
});

test('a disk that does not answer keeps no change waiting', async () => {
  const { api, disk } = harness();
  disk.hangs = true;
  const answer = await patchPolicy(api, '{"fastUtilization":0.7}');
  expect(answer.statusCode).toBe(200);
  expect(answer.headers['tierd-warning']).toContain('not saved');
});
