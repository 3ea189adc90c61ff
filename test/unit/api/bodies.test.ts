import { once } from 'node:events';
import { connect } from 'node:net';
import { afterEach, describe, expect, test } from 'vitest';
import { listenOnLoopback } from '../../../api/socket.ts';
import { harness, patchPolicy } from './harness.ts';

const json = { 'content-type': 'application/json' };

test.each(['/v1/pause', '/v1/resume', '/v1/pause/'])('POST %s takes a content type without a body', async (url) => {
  expect((await harness().api.inject({ method: 'POST', url, headers: json, payload: '' })).statusCode).toBe(200);
});

test('DELETE takes a content type without a body', async () => {
  const { api } = harness();
  await api.inject({ method: 'POST', url: '/v1/migrations', payload: { pid: 1, from: 1, to: 0 } });
  const ended = await api.inject({ method: 'DELETE', url: '/v1/migrations/1', headers: json, payload: '' });
  expect(ended.statusCode).toBe(200);
});

describe('a key that is there twice', () => {
  test.each([
    ['{"dryRun":true,"dryRun":false}', 'dryRun'],
    ['{"promotion":{"minAgeSeconds":1,"minAgeSeconds":2}}', 'minAgeSeconds'],
    ['{"dryRun":true,"dry\\u0052un":false}', 'dryRun'],
  ])('is refused: %s', async (body, key) => {
    const { api, service } = harness();
    const refused = await patchPolicy(api, body);
    expect(refused.json()).toMatchObject({ status: 400, detail: expect.stringContaining(`"${key}"`) });
    expect(service.applied).toEqual([]);
  });

  test.each([
    '{"cgroups":{"include":["/a","/a"]}}',
    '{"promotion":{"minAgeSeconds":1},"demotion":{"minAgeSeconds":2}}',
  ])('in two objects, or as a value, is not: %s', async (body) => {
    expect((await patchPolicy(harness().api, body)).statusCode).toBe(200);
  });
});

describe('connections without a token', () => {
  const api = harness({}, { token: 'a-token-of-thirty-two-characters' }).api;
  afterEach(() => api.close());

  test('are few, and end when nothing comes over them', async () => {
    await listenOnLoopback(api, 0);
    const address = api.server.address();
    if (address === null || typeof address === 'string') throw new Error('no port');
    const clients = Array.from({ length: 200 }, () => connect(address.port, '127.0.0.1').on('error', () => {}));
    const closed = clients.map((client) => once(client.resume(), 'close'));
    await Promise.all(clients.map((client) => once(client, 'connect')));
    await expect.poll(() => clients.filter(({ closed: isClosed }) => !isClosed).length).toBeLessThanOrEqual(64);
    await Promise.all(closed);
  }, 15_000);
});
