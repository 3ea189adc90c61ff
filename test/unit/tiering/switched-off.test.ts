import { afterEach, expect, test } from 'vitest';
import { POLICY, RunningEngine } from './running-engine.ts';

/** Kdamonds are looked at every 5 s. */
const POLL = { timeout: 30_000, interval: 50 };
const KDAMONDS = '/sys/kernel/mm/damon/admin/kdamonds';

let engine: RunningEngine;
afterEach(() => engine.stop());

/** Another tool makes a kdamond of its own in the first directory, and switches it on. */
async function takeOver(): Promise<void> {
  const { damon } = engine.kernel;
  damon.kill(0);
  damon.kill(1);
  await damon.write(`${KDAMONDS}/nr_kdamonds`, '1');
  await damon.write(`${KDAMONDS}/0/contexts/nr_contexts`, '1');
  await damon.write(`${KDAMONDS}/0/contexts/0/operations`, 'paddr');
  await damon.write(`${KDAMONDS}/0/state`, 'on');
}

test('kdamonds that somebody switched off are switched on again', async () => {
  engine = await RunningEngine.start();
  engine.kernel.damon.kill(1);
  await expect.poll(() => engine.kernel.damon.value('1/state'), POLL).toBe('on');
  expect(engine.runtime.schemes()).toHaveLength(2);
});

test('while another tool has DAMON it is waited for, its settings stay, and then DAMON is taken back', async () => {
  engine = await RunningEngine.start();
  const { damon } = engine.kernel;
  await takeOver();
  const before = damon.tree();
  const problem = /is off: .*; DAMON is in use by something else: kdamond 0 \(pid \d+/;
  await expect.poll(() => engine.runtime.status().problem, POLL).toMatch(problem);
  expect(engine.runtime.status().state).toBe('degraded');
  expect(damon.tree()).toEqual(before);
  damon.kill(0);
  await expect.poll(() => engine.runtime.schemes().length, POLL).toBe(2);
  expect(damon.value('nr_kdamonds')).toBe('4');
});

test('a daemon that shall step aside leaves DAMON as it found it, until it is resumed', async () => {
  engine = await RunningEngine.start({ ...POLICY, onSwitchOff: 'stepAside' });
  const { runtime, kernel } = engine;
  kernel.damon.kill(0);
  await expect.poll(() => runtime.status().state, POLL).toBe('aside');
  expect(runtime.status().problem).toMatch(/^kdamond 0 .* is off: .*POST \/v1\/resume/);
  expect(kernel.damon.value('nr_kdamonds')).toBe('0');
  expect(runtime.schemes()).toEqual([]);

  // It is aside for changes of the policy, too.
  await runtime.setPolicy({ ...POLICY, onSwitchOff: 'stepAside', fastUtilization: 0.5 });
  expect(kernel.damon.value('nr_kdamonds')).toBe('0');

  await runtime.resume();
  expect(runtime.schemes()).toHaveLength(2);
  expect(engine.states()).toContain('aside');
  expect(engine.states().at(-1)).not.toBe('aside');
});

test('what another tool made of DAMON stays when the daemon steps aside, ends, or cannot resume', async () => {
  engine = await RunningEngine.start({ ...POLICY, onSwitchOff: 'stepAside' });
  const { runtime, kernel } = engine;
  await takeOver();
  const before = kernel.damon.tree();
  await expect.poll(() => runtime.status().state, POLL).toBe('aside');
  await expect(runtime.resume()).rejects.toMatchObject({ code: 'TIERD_DAMON_FOREIGN' });
  expect(runtime.status().state).toBe('aside');
  await runtime.stop();
  expect(kernel.damon.tree()).toEqual(before);
});
