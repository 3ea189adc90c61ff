import { expect, test } from 'vitest';
import { probeText } from '../../../api/text/probe-text.ts';
import { ProbeRunningError } from '../../../tiering/errors.ts';
import { harness } from './harness.ts';

const post = { method: 'POST', url: '/v1/probe' } as const;

test('answers with what was measured, and with what was not and why', async () => {
  const { api } = harness();
  const response = await api.inject(post);
  expect(response.statusCode).toBe(200);
  expect(response.json()).toMatchObject({
    nodes: [{ nodeId: 0, readLatencyNs: 101.2, bufferBytes: 134_217_728 }],
    skipped: [{ nodeId: 1, reason: '20 MiB are free, 182 MiB are needed' }],
  });
});

test('answers as text when that is preferred', async () => {
  const { api } = harness();
  for (const asked of [
    { ...post, headers: { accept: 'text/plain' } },
    { ...post, url: '/v1/probe?format=text' },
  ]) {
    const response = await api.inject(asked);
    expect(response.headers['content-type']).toBe('text/plain; charset=utf-8');
    expect(response.body).toBe(
      [
        'NODE   LATENCY         READ        WRITE     BUFFER  FROM CPUS OF',
        '   0  101.2 ns  25762 MiB/s  19940 MiB/s  128.0 MiB  node 0',
        'node 1 was not measured: 20 MiB are free, 182 MiB are needed',
        '',
      ].join('\n'),
    );
  }
});

test('is refused with 409 while another one runs', async () => {
  const { api, service } = harness();
  service.refusal = new ProbeRunningError();
  const response = await api.inject(post);
  expect(response.statusCode).toBe(409);
  expect(response.json()).toMatchObject({ code: 'TIERD_PROBE_RUNNING', title: 'A probe is under way' });
});

test('is a POST: it takes seconds, and memory', async () => {
  const { api } = harness();
  const response = await api.inject('/v1/probe');
  expect([response.statusCode, response.headers.allow]).toEqual([405, 'POST']);
});

test('a report without a measured node has no table', () => {
  expect(probeText({ nodes: [], skipped: [{ nodeId: 3, reason: 'no' }] })).toBe('node 3 was not measured: no\n');
});
