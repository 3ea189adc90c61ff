import { mkdtemp, rm } from 'node:fs/promises';
import { request } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { OPERATIONS } from '../../../api/openapi/operations.ts';
import { listenOnSocket } from '../../../api/socket.ts';
import { harness, patchPolicy } from './harness.ts';

const operations = [...OPERATIONS.keys()].map((name) => {
  const [method = '', path = ''] = name.split(' ');
  return { method, url: path.replace(':id', '1') };
});
const endless = '/v1/events';

async function readOnly() {
  const daemon = harness({}, { isReadOnly: true });
  await daemon.service.migrations.create({ target: { pid: 1 }, from: [1], to: 0, maxBytesPerSecond: 2 ** 30 });
  return daemon;
}

test.each(operations.filter(({ method, url }) => method === 'GET' && url !== endless))(
  'answers GET and HEAD $url as the other socket does',
  async ({ url }) => {
    const { api } = await readOnly();
    for (const method of ['GET', 'HEAD'] as const) expect((await api.inject({ method, url })).statusCode).toBe(200);
    expect((await api.inject({ url, headers: { accept: 'text/plain' } })).headers['content-type']).toMatch(/^text/);
  },
);

test.each([
  ...operations.filter(({ method }) => method !== 'GET'),
  { method: 'PATCH', url: '/v1/policy?dryRun=true' },
  { method: 'PUT', url: '/v1/policy?dryRun=true' },
  { method: 'POST', url: '/v1/pause/' },
  { method: 'POST', url: '/v1/nothing' },
  { method: 'OPTIONS', url: '/v1/policy' },
  { method: 'DELETE', url: '/' },
] as const)('refuses $method $url with 403, and nothing changes', async ({ method, url }) => {
  const { api, service, saved } = await readOnly();
  const before = service.migrations.list();
  const refused = await api.inject(Object.assign({ url, payload: { dryRun: true } }, { method }));
  expect(refused.json()).toMatchObject({
    status: 403,
    code: 'TIERD_READ_ONLY',
    detail: expect.stringContaining(method),
  });
  expect([service.applied, saved, service.interleave.orders, service.pausedSince()]).toEqual([[], [], [], undefined]);
  expect(service.migrations.list()).toEqual(before);
});

test('a body of a change is not read, whatever it is', async () => {
  expect((await patchPolicy((await readOnly()).api, '{', 'text/plain')).json()).toMatchObject({ status: 403 });
});

test('lets follow the events', async () => {
  const directory = await mkdtemp(join(tmpdir(), 'tierd-read-'));
  const socketPath = join(directory, 'read.sock');
  const { api, service } = await readOnly();
  try {
    await listenOnSocket(api, socketPath);
    service.events.publish({ type: 'warning', severity: 'warning', message: 'seen' });
    await new Promise<void>((resolve, reject) => {
      let seen = '';
      const asking = request({ socketPath, path: endless, headers: { 'last-event-id': '0' } }, (response) => {
        response.setEncoding('utf8').on('data', (text) => {
          seen += text;
          if (seen.includes('"message":"seen"')) resolve();
        });
      });
      asking.once('error', reject).end();
    });
  } finally {
    await api.close();
    await rm(directory, { recursive: true });
  }
});
