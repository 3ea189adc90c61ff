import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import type { NodeSample } from '../../../../tiering/history/history.ts';
import { HISTORY_LEVELS, History } from '../../../../tiering/history/history.ts';
import { HistoryRing } from '../../../../tiering/history/history-ring.ts';
import { nodeSamples } from '../../../../tiering/history/node-samples.ts';
import { DEFAULT_POLICY } from '../../../../tiering/policy.ts';
import { ANY_REGION } from '../any-region.ts';

const HOUR_MS = 3_600_000;

function sample(partial: Partial<NodeSample> = {}): NodeSample {
  return {
    nodeId: 0,
    totalBytes: 1000,
    usedBytes: 400,
    promotedBytes: 0,
    demotedBytes: 0,
    promotionQuotaBytes: 0,
    demotionQuotaBytes: 0,
    ...partial,
  };
}

function pointsOf(history: History, sinceMs: number, stepMs: number, nowMs: number) {
  return history.query({ sinceMs, stepMs }, nowMs).nodes[0]?.points ?? [];
}

describe('the history', () => {
  test('has means of what is, and sums of what moved, within a step', () => {
    const history = new History();
    history.record(5_100, [sample({ usedBytes: 400, promotedBytes: 10, promotionQuotaBytes: 100 })]);
    history.record(5_900, [sample({ usedBytes: 600, promotedBytes: 5, demotedBytes: 7 })]);
    expect(pointsOf(history, 10_000, 1_000, 6_000)).toEqual([
      {
        startMs: 5_000,
        totalBytes: 1000,
        usedBytes: 500,
        promotedBytes: 15,
        demotedBytes: 7,
        promotionQuotaBytes: 50,
        demotionQuotaBytes: 0,
      },
    ]);
  });

  test('temperatures are means over what had a snapshot', () => {
    const history = new History();
    history.record(1_000, [sample()]);
    history.record(1_400, [sample({ temperatures: { hotBytes: 10, warmBytes: 20, coldBytes: 30 } })]);
    history.record(1_800, [sample({ temperatures: { hotBytes: 30, warmBytes: 20, coldBytes: 10 } })]);
    const [point] = pointsOf(history, 1_000, 1_000, 2_000);
    expect(point?.temperatures).toEqual({ hotBytes: 20, warmBytes: 20, coldBytes: 20 });
  });

  test('leaves out steps in which nothing was seen', () => {
    const history = new History();
    for (const atMs of [1_000, 2_000, 9_000]) history.record(atMs, [sample()]);
    expect(pointsOf(history, 20_000, 1_000, 10_000).map((point) => point.startMs)).toEqual([1_000, 2_000, 9_000]);
  });

  test('begins so long ago as it was asked for', () => {
    const history = new History();
    for (let atMs = 0; atMs < 100_000; atMs += 500) history.record(atMs, [sample({ promotedBytes: 1 })]);
    const points = pointsOf(history, 30_000, 5_000, 100_000);
    expect(points.map((point) => point.startMs)).toEqual([70_000, 75_000, 80_000, 85_000, 90_000, 95_000]);
    expect(points.map((point) => point.promotedBytes)).toEqual([10, 10, 10, 10, 10, 10]);
  });

  test.each([
    [600, 1, 1],
    [600, 7, 7],
    [601, 1, 10],
    [7_200, 15, 20],
    [7_201, 1, 60],
    [86_400, 100, 120],
  ])('%d s back in steps of %d s: the steps have %d s', (sinceSeconds, stepSeconds, expected) => {
    const query = { sinceMs: sinceSeconds * 1000, stepMs: stepSeconds * 1000 };
    expect(new History().query(query, 0).stepMs).toBe(expected * 1000);
  });

  test('remembers ten minutes, two hours and a day, and forgets what is older', () => {
    const history = new History();
    const nowMs = 30 * HOUR_MS;
    for (let atMs = 0; atMs < nowMs; atMs += 10_000) history.record(atMs, [sample({ promotedBytes: 1 })]);
    expect(pointsOf(history, 600_000, 10_000, nowMs)).toHaveLength(60);
    expect(pointsOf(history, 2 * HOUR_MS, 10_000, nowMs)).toHaveLength(720);
    const day = pointsOf(history, 24 * HOUR_MS, 60_000, nowMs);
    expect(day).toHaveLength(1440);
    expect(day[0]?.startMs).toBe(6 * HOUR_MS);
    expect(day.every((point) => point.promotedBytes === 6)).toBe(true);
  });

  test('takes the memory it says, however long it runs', () => {
    const history = new History();
    history.record(0, [sample(), sample({ nodeId: 1 })]);
    expect(history.sizeBytes).toBe(2 * 265_248);
    for (let atMs = 0; atMs < 50 * HOUR_MS; atMs += 60_000) history.record(atMs, [sample(), sample({ nodeId: 1 })]);
    expect(history.sizeBytes).toBe(2 * 265_248);
  });

  test('of more nodes than it keeps, the one not seen for longest is forgotten', () => {
    const history = new History();
    for (let nodeId = 0; nodeId < 32; nodeId++) history.record(nodeId + 1, [sample({ nodeId })]);
    history.record(50, [sample({ nodeId: 0 })]);
    history.record(60, [sample({ nodeId: 99 })]);
    const nodeIds = history.query({ sinceMs: 1_000, stepMs: 1_000 }, 100).nodes.map((node) => node.nodeId);
    expect(nodeIds).toHaveLength(32);
    expect(nodeIds).toContain(0);
    expect(nodeIds).not.toContain(1);
    expect(nodeIds).toContain(99);
  });
});

test('a ring gives back what was added and is not yet overwritten, whatever the gaps between', () => {
  const gaps = fc.array(fc.integer({ min: 0, max: 25 }), { maxLength: 100 });
  fc.assert(
    fc.property(gaps, fc.integer({ min: 1, max: 4 }), (pauses, together) => {
      const ring = new HistoryRing(10, 8, 1);
      const sums = new Map<number, number>();
      let atMs = 0;
      pauses.forEach((pause, index) => {
        atMs += pause;
        ring.add(atMs, [index]);
        const step = Math.floor(atMs / 10);
        sums.set(step, (sums.get(step) ?? 0) + index);
      });
      const oldest = Math.floor(atMs / 10) - 7;
      const expected = new Map<number, number>();
      for (const [step, sum] of sums) {
        const startMs = Math.floor(step / together) * together * 10;
        if (startMs / 10 >= oldest) expected.set(startMs, (expected.get(startMs) ?? 0) + sum);
      }
      const found = ring.between(0, atMs, together * 10).map(({ startMs, sums: [sum] }) => [startMs, sum]);
      expect(found).toEqual([...expected]);
    }),
  );
});

test('each level reaches further back than the one before, in steps that are multiples of its', () => {
  for (const [index, { stepMs, steps }] of HISTORY_LEVELS.entries()) {
    const finer = HISTORY_LEVELS[index - 1];
    if (finer === undefined) continue;
    expect(stepMs * steps).toBeGreaterThan(finer.stepMs * finer.steps);
    expect(stepMs % finer.stepMs).toBe(0);
  }
});

test('a sample is a node as it was observed, and what the orders let move', () => {
  const region = { start: 0, end: 4096, nrAccesses: 20, age: 1 };
  const snapshot = { nodeId: 1, takenAtMs: 0, maxNrAccesses: 20, aggregationIntervalMs: 500, regions: [region] };
  const tried = { promotionTriedBytes: 0, demotionTriedBytes: 0 };
  const seen = { totalBytes: 10_000, freeBytes: 4_000, highWatermarkBytes: 0, promotedBytes: 5, demotedBytes: 0 };
  const observation = {
    nowMs: 0,
    nodes: [
      { nodeId: 0, ...seen, ...tried },
      { nodeId: 1, ...seen, ...tried, snapshot },
    ],
  };
  const orders = [
    { nodeId: 1, promotion: { budgetBytes: 77, bounds: ANY_REGION, targetNodeId: 0, reason: 'hot memory waits' } },
  ];
  const moved = { totalBytes: 10_000, usedBytes: 6_000, promotedBytes: 5, demotedBytes: 0, demotionQuotaBytes: 0 };
  expect(nodeSamples(observation, orders, DEFAULT_POLICY)).toEqual([
    { nodeId: 0, ...moved, promotionQuotaBytes: 0 },
    {
      nodeId: 1,
      ...moved,
      promotionQuotaBytes: 77,
      temperatures: { hotBytes: 4096, warmBytes: 0, coldBytes: 0 },
    },
  ]);
});
