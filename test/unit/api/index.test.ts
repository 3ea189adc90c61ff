import { expect, test } from 'vitest';
import { OPERATIONS } from '../../../api/openapi/operations.ts';
import { harness } from './harness.ts';

test('GET / names every resource once, with what it takes, and where all of it is described', async () => {
  const { api } = harness();
  const index = (await api.inject('/')).json();
  expect(index).toMatchObject({ name: 'tierd', version: '1.2.3', description: '/openapi.json' });
  const named = index.resources.flatMap(({ path, methods }: { path: string; methods: string[] }) =>
    methods.map((method) => `${method} ${path}`),
  );
  expect(named.sort()).toEqual([...OPERATIONS.keys()].sort());
  expect(index.resources).toContainEqual({
    path: '/v1/policy',
    summary: 'The policy in force',
    methods: ['GET', 'PATCH', 'PUT'],
  });
  expect((await api.inject(index.description)).statusCode).toBe(200);
});

test('as text it says where to begin', async () => {
  const { api } = harness();
  const { headers, body } = await api.inject({ url: '/', headers: { accept: 'text/plain' } });
  expect(headers['content-type']).toBe('text/plain; charset=utf-8');
  const [first = '', , titles] = body.split('\n');
  expect(titles).toMatch(/^PATH +METHODS +WHAT IT IS$/);
  const [, named = ''] = /begin with (\S+);/.exec(first) ?? [];
  expect((await api.inject(named)).body).toMatch(/^tierd 1\.2\.3 on/);
});
