import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import { compileCheck } from '../../../api/schema/check.ts';
import type { HistoryBody } from '../../../api/views/history-view.ts';
import { HistorySchema } from '../../../api/views/history-view.ts';
import { MIB } from './fake-service.ts';
import { harness } from './harness.ts';

const DAY_SECONDS = 86_400;

beforeEach(() => {
  vi.useFakeTimers({ toFake: ['Date'], now: new Date('2026-11-23T19:30:02.000Z') });
});
afterEach(() => {
  vi.useRealTimers();
});

const EMPTY = {
  totalBytes: 1000 * MIB,
  promotedBytes: 0,
  demotedBytes: 0,
  promotionQuotaBytes: 0,
  demotionQuotaBytes: 0,
};

/** Two seconds of a fast node that makes room and a slow one that is being promoted from. */
function withPast() {
  const made = harness();
  const { past } = made.service;
  past.record(500, [
    { nodeId: 0, ...EMPTY, usedBytes: 950 * MIB, demotedBytes: 8 * MIB, demotionQuotaBytes: 16 * MIB },
  ]);
  past.record(1500, [
    {
      nodeId: 0,
      ...EMPTY,
      usedBytes: 940 * MIB,
      temperatures: { hotBytes: 100 * MIB, warmBytes: 40 * MIB, coldBytes: 860 * MIB },
    },
    { nodeId: 1, ...EMPTY, usedBytes: 0, promotedBytes: 64 * MIB, promotionQuotaBytes: 64 * MIB },
  ]);
  return made;
}

const GOLDEN = `\
node 0: promoted 0 B, demoted 8.0 MiB in the last 10 min in steps of 1.0 s, from 2026-11-23
UTC         USED         HOT        WARM        COLD    PROMOTED       QUOTA     DEMOTED       QUOTA
19:30:00  95.0 %           -           -           -         0 B         off     8.0 MiB    16.0 MiB
19:30:01  94.0 %   100.0 MiB    40.0 MiB   860.0 MiB         0 B         off         0 B         off

node 1: promoted 64.0 MiB, demoted 0 B in the last 10 min in steps of 1.0 s, from 2026-11-23
UTC         USED         HOT        WARM        COLD    PROMOTED       QUOTA     DEMOTED       QUOTA
19:30:01     0 %           -           -           -    64.0 MiB    64.0 MiB         0 B         off
`;

describe('GET /v1/history', () => {
  test('as a table', async () => {
    const { api } = withPast();
    expect((await api.inject('/v1/history?format=text&stepSeconds=1')).body).toBe(GOLDEN);
  });

  test('as JSON that the schema describes, of one node if so asked', async () => {
    const { api } = withPast();
    const response = await api.inject('/v1/history?nodeId=0&stepSeconds=1&sinceSeconds=60');
    expect(response.headers['content-type']).toBe('application/json; charset=utf-8');
    const body = response.json<HistoryBody>();
    expect(compileCheck(HistorySchema)(body)).toMatchObject({ ok: true });
    expect(body).toMatchObject({ sinceSeconds: 60, stepSeconds: 1, nodes: [{ nodeId: 0, demotedBytes: 8 * MIB }] });
    expect(body.nodes[0]?.points.map(({ at, usedShare }) => [at, usedShare])).toEqual([
      ['2026-11-23T19:30:00.000Z', 0.95],
      ['2026-11-23T19:30:01.000Z', 0.94],
    ]);
  });

  test('of ten minutes, in sixty steps, by default', async () => {
    const { api } = withPast();
    expect((await api.inject('/v1/history')).json()).toMatchObject({ sinceSeconds: 600, stepSeconds: 10 });
  });

  test('of a whole day comes whole, as JSON and as text, and no line is wider than 100 columns', async () => {
    const { api, service } = harness();
    const sample = { nodeId: 1023, ...EMPTY, usedBytes: 999 * MIB, promotedBytes: 1023.9 * MIB };
    const quotas = { promotionQuotaBytes: 1023.9 * MIB, demotionQuotaBytes: 1023.9 * MIB };
    for (let atMs = 0; atMs < DAY_SECONDS * 1000; atMs += 30_000) {
      service.past.record(atMs, [{ ...sample, ...quotas }]);
    }
    service.nowMs = DAY_SECONDS * 1000;
    const query = `/v1/history?sinceSeconds=${DAY_SECONDS}&stepSeconds=1`;
    const points = (await api.inject(query)).json<HistoryBody>().nodes[0]?.points ?? [];
    expect(points).toHaveLength(1440);
    expect(points.map(({ at }) => at)).toEqual(points.map(({ at }) => at).toSorted());
    const lines = (await api.inject(`${query}&format=text`)).body.split('\n');
    expect(lines).toHaveLength(1440 + 3);
    expect(Math.max(...lines.map((line) => line.length))).toBeLessThanOrEqual(100);
  });

  test('is empty before the first decision', async () => {
    const { api } = harness();
    expect((await api.inject('/v1/history')).json()).toEqual({ sinceSeconds: 600, stepSeconds: 10, nodes: [] });
    expect((await api.inject('/v1/history?format=text')).body).toBe('no history yet\n');
  });

  test.each([
    ['sinceSeconds=0', 'sinceSeconds: "0" is not allowed: must be a whole number from 1 to 86400'],
    ['sinceSeconds=86401', 'sinceSeconds: "86401" is not allowed: must be a whole number from 1 to 86400'],
    ['stepSeconds=1.5', 'stepSeconds: "1.5" is not allowed: must be a whole number from 1 to 86400'],
    ['nodeId=-1', 'nodeId: "-1" is not allowed: must be a node id such as 0'],
    ['nodeId=7', 'nodeId: "7" is not allowed: must be the id of a memory node: 0, 1'],
    ['since=60', 'since: unknown key'],
  ])('refuses %s', async (query, detail) => {
    const { api } = harness();
    const response = await api.inject(`/v1/history?${query}`);
    expect(response.statusCode).toBe(400);
    expect(response.json().detail).toContain(detail);
  });

  test.each(['1', '9999', '10000', '79999', '80000', '86399', '86400'])('allows sinceSeconds=%s', async (since) => {
    const { api } = harness();
    expect((await api.inject(`/v1/history?sinceSeconds=${since}`)).statusCode).toBe(200);
  });
});
