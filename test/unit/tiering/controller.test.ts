import { statSync } from 'node:fs';
import { afterEach, beforeEach, expect, test } from 'vitest';
import type { TieringRuntime } from '../../../tiering/controller.ts';
import { POLICY, RunningEngine } from './running-engine.ts';

const POLL = { timeout: 20_000, interval: 20 };

let engine: RunningEngine;
let runtime: TieringRuntime;

beforeEach(async () => {
  engine = await RunningEngine.start();
  runtime = engine.runtime;
});
afterEach(() => engine.stop());

test('what the engine does is told as events, and kept as history', async () => {
  await expect.poll(() => engine.states(), POLL).toContain('moving');
  expect(engine.states().slice(0, 1)).toEqual(['starting']);
  expect(engine.happened()).toContainEqual(
    expect.objectContaining({
      type: 'decision',
      nodeId: 1,
      direction: 'promotion',
      targetNodeId: 0,
      message: expect.stringMatching(/^promotion node 1 -> 0: off -> on, \d+ MiB a pass: /),
    }),
  );

  await expect.poll(() => runtime.status().promotedBytes, POLL).toBeGreaterThan(0);
  await runtime.pause(new Date());
  expect(engine.happened().at(-1)).toMatchObject({ type: 'state', state: 'paused', before: 'moving' });
  await runtime.setPolicy({ ...POLICY, fastUtilization: 0.7, dryRun: true });
  expect(engine.happened().at(-1)).toMatchObject({
    type: 'policy',
    keys: ['fastUtilization', 'dryRun'],
    message: 'policy changed: fastUtilization: 0.95 -> 0.7, dryRun: false -> true',
  });
  await runtime.resume();
  await expect.poll(() => engine.states(), POLL).toContain('settled');

  const past = () => runtime.history({ sinceMs: 60_000, stepMs: 1000 }).nodes;
  await expect
    .poll(() => past().map(({ nodeId, points }) => [nodeId, points.length > 1]), POLL)
    .toEqual([
      [0, true],
      [1, true],
    ]);
  const [fast, slow] = past().map(({ points }) => points);
  expect(slow?.some((point) => point.promotionQuotaBytes > 0)).toBe(true);
  expect(slow?.some((point) => point.promotedBytes > 0)).toBe(true);
  expect(slow?.every((point) => (point.temperatures?.hotBytes ?? 0) > 0)).toBe(true);
  expect(fast?.every((point) => point.promotedBytes === 0 && point.usedBytes > 0)).toBe(true);
});

test('a shorter aggregation interval counts at once, not when the longer one before it is over', async () => {
  const aggregation = (aggregationIntervalMs: number) =>
    runtime.setPolicy({ ...POLICY, monitoring: { ...POLICY.monitoring, aggregationIntervalMs } });
  await aggregation(100_000);
  // By then it sleeps until the long one should be over.
  const traced = () => statSync(engine.kernel.tracePages).size;
  for (const before of [traced(), 2 * traced()]) await expect.poll(traced, POLL).toBeGreaterThan(before);
  await aggregation(250);
  const { decisions } = runtime.heartbeat();
  await expect.poll(() => runtime.heartbeat().decisions, POLL).toBeGreaterThan(decisions + 1);
});

test('every scheme has the quota in effect soon, also one that is off', async () => {
  const quotas = () => runtime.schemes().flatMap(({ schemes }) => schemes.map((view) => view.effectiveQuotaBytes));
  await expect.poll(quotas, POLL).toEqual(quotas().map(() => expect.any(Number)));
  expect(quotas().length).toBeGreaterThan(1);
});
