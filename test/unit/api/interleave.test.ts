import { expect, test } from 'vitest';
import { interleaveText } from '../../../api/text/interleave-text.ts';
import { BandwidthUnknownError, InterleaveUnavailableError } from '../../../tiering/interleave/errors.ts';
import { harness } from './harness.ts';

const url = '/v1/interleave';

test('GET answers with weights and recommendation, as JSON and as text', async () => {
  const { api } = harness();
  expect((await api.inject(url)).json()).toMatchObject({ mode: 'manual', recommendation: { source: 'hmat' } });
  const text = await api.inject({ url, headers: { accept: 'text/plain' } });
  expect(text.body).toBe(
    [
      'NODE  WEIGHT  RECOMMENDED',
      '   0       1            3',
      '   1       1            1',
      'manual: the weights are as written',
      'recommended by read bandwidth, source hmat',
      '',
    ].join('\n'),
  );
});

test('text without a recommendation says how to get one', () => {
  const text = interleaveText({ mode: 'auto', hasAuto: true, weights: [{ nodeId: 0, weight: 1 }] });
  expect(text).toContain('auto: the kernel derives');
  expect(text).toContain('POST /v1/probe');
});

test.each([
  [{ weights: 'kernel' }, 'kernel'],
  [{ weights: 'recommended' }, 'recommended'],
  [{ weights: { '1': 255 } }, [{ nodeId: 1, weight: 255 }]],
])('PATCH %j is handed on', async (payload, order) => {
  const { api, service } = harness();
  expect((await api.inject({ method: 'PATCH', url, payload })).statusCode).toBe(200);
  expect(service.interleave.orders).toEqual([order]);
});

test.each([
  {},
  [],
  { weights: {} },
  { weights: 'auto' },
  { weights: { '0': 0 } },
  { weights: { '0': 256 } },
  { weights: { '0': 1.5 } },
  { weights: { '-1': 1 } },
  { weights: { x: 1 } },
  { weights: 'kernel', mode: 'auto' },
])('PATCH %j is refused with 422 and changes nothing', async (payload) => {
  const { api, service } = harness();
  const response = await api.inject({ method: 'PATCH', url, payload });
  expect([response.statusCode, response.json().code]).toEqual([422, 'TIERD_INTERLEAVE_INVALID']);
  expect(response.json().errors.length).toBeGreaterThan(0);
  expect(service.interleave.orders).toEqual([]);
});

test.each([
  [new InterleaveUnavailableError(), 404, /Linux 6\.9/],
  [new BandwidthUnknownError(), 409, /POST \/v1\/probe/],
] as const)('%s is a problem with its own status', async (refusal, status, detail) => {
  const { api, service } = harness();
  service.interleave.refusal = refusal;
  const response = await api.inject({ method: 'PATCH', url, payload: { weights: 'recommended' } });
  expect(response.statusCode).toBe(status);
  expect(response.json()).toMatchObject({ code: refusal.code, detail: expect.stringMatching(detail) });
});
