import { appendFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, expect, test } from 'vitest';
import { FakeKernel } from '../../bench/fake-kernel.ts';
import { FIRST_PID } from '../../bench/simulated-engine.ts';
import { RingPageWriter, recordedLayout } from '../../bench/trace-pages.ts';
import { POLICY, RunningEngine } from './running-engine.ts';

const POLL = { timeout: 20_000, interval: 20 };

let engine: RunningEngine;
afterEach(() => engine.stop());

test('events that the kernel had no room for reach the status; decisions go on', async () => {
  engine = await RunningEngine.start();
  const { runtime, kernel } = engine;
  const region = { start: 0, end: 4096, nrAccesses: 0, age: 0 };
  for (const page of new RingPageWriter(recordedLayout('7.3')).lost(77).region(1e9, FIRST_PID, 9, region).take()) {
    appendFileSync(kernel.tracePages, page);
  }
  await expect.poll(() => runtime.status().traceLosses.lostEvents, POLL).toBe(77);
  await expect.poll(() => runtime.status().traceLosses.droppedAggregations, POLL).toBe(1);
  const { decisions } = runtime.heartbeat();
  await expect.poll(() => runtime.heartbeat().decisions, POLL).toBeGreaterThan(decisions + 2);
  expect(runtime.status().problem).toBeUndefined();
});

test('a host of 512 CPUs is watched in fewer regions than asked for, and says so', async () => {
  const kernel = new FakeKernel();
  writeFileSync(join(kernel.root, 'sys/devices/system/cpu/online'), '0-511\n');
  engine = await RunningEngine.start({ ...POLICY, monitoring: { ...POLICY.monitoring, maxRegions: 50_000 } }, kernel);
  const { runtime } = engine;
  const [most = 0] = runtime.schemes().map(({ maxRegions }) => maxRegions);
  expect(most).toBeGreaterThan(1000);
  expect(most).toBeLessThan(4000);
  expect(kernel.damon.value('0/contexts/0/monitoring_attrs/nr_regions/max')).toBe(String(most));
  expect(runtime.status().regionLimit).toContain(`watched in at most ${most} regions instead of 50000`);
  await expect.poll(() => runtime.status().state, POLL).toBe('moving');
  const { before, after } = await runtime.preview(runtime.policy());
  expect([...before, ...after].map(({ maxRegions }) => maxRegions)).toEqual([most, most, most, most]);
  await runtime.setPolicy(POLICY);
  expect(runtime.status().regionLimit).toBeUndefined();
});
