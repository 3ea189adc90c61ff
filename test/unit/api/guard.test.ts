import { describe, expect, test } from 'vitest';
import { harness, patchPolicy } from './harness.ts';

const token = 'a-token-of-thirty-two-characters';

describe('over TCP', () => {
  const ask = (headers: Record<string, string>) =>
    harness({}, { token }).api.inject({ url: '/v1/status', headers: { host: 'localhost:9400', ...headers } });

  test('the token lets in', async () => {
    expect((await ask({ authorization: `Bearer ${token}` })).statusCode).toBe(200);
    expect((await ask({ authorization: `bearer ${token}`, host: '127.0.0.1' })).statusCode).toBe(200);
  });

  test.each([
    ['none', {}],
    ['another', { authorization: 'Bearer another-token-of-the-same-length' }],
    ['a part of it', { authorization: `Bearer ${token.slice(0, 20)}` }],
    ['another scheme', { authorization: `Basic ${token}` }],
    ['two', { authorization: `Bearer ${token} ${token}` }],
  ])('%s does not', async (_what, headers) => {
    const refused = await ask(headers);
    expect(refused.json()).toMatchObject({ status: 401, code: 'TIERD_UNAUTHORIZED' });
    expect(refused.headers['www-authenticate']).toBe('Bearer realm="tierd"');
    expect(refused.body).not.toContain(token);
  });

  test.each(['evil.example', 'localhost.evil.example', '192.168.0.1:9400'])('the host %j is refused', async (host) => {
    const refused = await ask({ authorization: `Bearer ${token}`, host });
    expect(refused.json()).toMatchObject({ status: 421, code: 'TIERD_HOST_NOT_ALLOWED' });
  });

  test('no page of a browser may read an answer', async () => {
    const { headers } = await ask({ authorization: `Bearer ${token}`, origin: 'http://evil.example' });
    expect(Object.keys(headers).filter((name) => name.startsWith('access-control'))).toEqual([]);
  });
});

describe('more changes than anybody can mean', () => {
  test('are refused, and reading goes on', async () => {
    const { api, service } = harness({}, { maxWritesPerMinute: 3 });
    const codes: number[] = [];
    for (const share of [0.5, 0.6, 0.7, 0.8]) {
      codes.push((await patchPolicy(api, `{"fastUtilization":${share}}`)).statusCode);
    }
    expect(codes).toEqual([200, 200, 200, 429]);
    expect(service.policy().fastUtilization).toBe(0.7);
    expect((await api.inject({ method: 'POST', url: '/v1/pause' })).statusCode).toBe(200);
    const refused = await api.inject({ method: 'POST', url: '/v1/resume' });
    expect(refused.json()).toMatchObject({
      status: 429,
      code: 'TIERD_TOO_MANY_WRITES',
      detail: expect.stringMatching(/^more than 3 changes a minute: wait \d+ s$/),
    });
    expect(refused.headers['retry-after']).toBeDefined();
    expect((await api.inject('/v1/status')).statusCode).toBe(200);
  });
});
