import { afterEach, describe, expect, test } from 'vitest';
import { FakeKernel } from '../../bench/fake-kernel.ts';
import { POLICY, RunningEngine } from './running-engine.ts';

const POLL = { timeout: 30_000, interval: 20 };
const ROOT = '/sys/kernel/mm/damon/admin/kdamonds';

let engine: RunningEngine;
afterEach(() => engine.stop());

const status = () => engine.runtime.status();
const state = () => status().state;
const decisions = () => engine.runtime.heartbeat().decisions;
const file = (path: string) => engine.kernel.damon.value(path);
const promotionBytes = () => Number(file('1/contexts/0/schemes/0/quotas/bytes'));

/** Starts, and waits until memory moves. */
async function moving(kernel?: FakeKernel): Promise<void> {
  engine = await RunningEngine.start(POLICY, kernel);
  await expect.poll(promotionBytes, POLL).toBeGreaterThan(1);
}

/** Some decisions from now on. */
async function decidesOn(): Promise<void> {
  const before = decisions();
  await expect.poll(decisions, POLL).toBeGreaterThan(before + 3);
}

/** Every such write to DAMON, or to tracefs, fails. */
function failWrites(path: RegExp, value: RegExp, errno: string): () => number {
  let failed = 0;
  engine.kernel.fault = (written, text) => {
    if (text === undefined || !path.test(written) || !value.test(text)) return undefined;
    failed += 1;
    return errno;
  };
  return () => failed;
}

function noFaults(): void {
  engine.kernel.fault = () => undefined;
}

describe('a change of policy is whole or nothing', () => {
  const larger = { ...POLICY, monitoring: { ...POLICY.monitoring, maxRegions: 50_000 } };
  const regions = () => [0, 1].map((index) => file(`${index}/contexts/0/monitoring_attrs/nr_regions/max`));

  test('when the trace gets no larger buffer, it goes on with the old one, and the kdamonds as they were', async () => {
    await moving();
    const before = regions();
    failWrites(/buffer_size_kb$/, /./, 'ENOMEM');
    await expect(engine.runtime.setPolicy(larger)).rejects.toMatchObject({ code: 'TIERD_TRACE_UNAVAILABLE' });
    expect([regions(), engine.runtime.policy()]).toEqual([before, POLICY]);
    await decidesOn();
    noFaults();
    await engine.runtime.setPolicy(larger);
    expect(regions()).toEqual(['50000', '50000']);
    await decidesOn();
    await expect.poll(state, POLL).toBe('moving');
  });

  test.each([0, 1])('when kdamond %i refuses the commit, both are as they were', async (index) => {
    await moving();
    const before = regions();
    engine.kernel.damon.failures.push({ path: `${index}/state`, value: 'commit', errno: 'EINVAL' });
    await expect(engine.runtime.setPolicy(larger)).rejects.toMatchObject({ code: 'TIERD_DAMON_REJECTED' });
    expect([regions(), engine.runtime.policy()]).toEqual([before, POLICY]);
    await decidesOn();
    await expect.poll(state, POLL).toBe('moving');
    await engine.runtime.setPolicy(larger);
    expect(regions()).toEqual(['50000', '50000']);
  });

  test('when a file of one cannot be written, both are as they were', async () => {
    await moving();
    const before = regions();
    engine.kernel.damon.failures.push({ path: '1/contexts/0/monitoring_attrs/nr_regions/max', errno: 'EIO' });
    await expect(engine.runtime.setPolicy(larger)).rejects.toMatchObject({ errno: 'EIO' });
    expect([regions(), engine.runtime.policy()]).toEqual([before, POLICY]);
    await decidesOn();
  });
});

describe('orders end when they are not renewed', () => {
  test('as node memory cannot be read', async () => {
    await moving();
    engine.kernel.fault = (path, value) => (value === undefined && path.endsWith('/meminfo') ? 'EIO' : undefined);
    await expect.poll(promotionBytes, POLL).toBe(1);
    await expect.poll(state, POLL).toBe('degraded');
    expect(status().problem).toContain('EIO');
    noFaults();
    await expect.poll(promotionBytes, POLL).toBeGreaterThan(1);
    expect(state()).toBe('moving');
  });

  test('as no snapshot comes though the kdamonds answer; the trace is made anew', async () => {
    await moving();
    const trace = engine.kernel.tracePages;
    engine.isTracing = false;
    await expect.poll(promotionBytes, POLL).toBe(1);
    expect(state()).toBe('degraded');
    expect(status().problem).toMatch(/node 1: no snapshot comes, though kdamond 1 answers/);
    await expect.poll(() => engine.kernel.tracePages, POLL).not.toBe(trace);
    engine.isTracing = true;
    await expect.poll(promotionBytes, POLL).toBeGreaterThan(1);
    await expect.poll(state, POLL).toBe('moving');
  });

  test('and a kdamond that takes no commit is switched off, until it does again', async () => {
    await moving();
    failWrites(/kdamonds\/1\/state$/, /^commit$/, 'ENOMEM');
    await expect.poll(() => file('1/state'), POLL).toBe('off');
    expect(status().problem).toMatch(/node 1: .*ENOMEM/);
    await decidesOn();
    noFaults();
    await expect.poll(promotionBytes, POLL).toBeGreaterThan(1);
    await expect.poll(state, POLL).toBe('moving');
  });
});

describe('one node does not hold up the other', () => {
  test('when nothing is seen of it', async () => {
    await moving();
    engine.hidden.add(0);
    await expect.poll(() => status().problem, POLL).toMatch(/node 0: no snapshot comes/);
    expect(status().problem).not.toContain('node 1:');
    await decidesOn();
    expect(promotionBytes()).toBeGreaterThan(1);
    engine.hidden.clear();
    await expect.poll(state, POLL).toBe('moving');
  });

  test('when its kdamond died and does not start again, which is tried later and later', async () => {
    await moving();
    const tries = failWrites(/kdamonds\/0\/state$/, /^on$/, 'EINVAL');
    const startedAtMs = performance.now();
    engine.kernel.damon.kill(0);
    await expect.poll(() => status().problem, POLL).toMatch(/node 0: its kdamond does not start: .*EINVAL/);
    expect(state()).toBe('degraded');
    await expect.poll(() => performance.now() - startedAtMs, POLL).toBeGreaterThan(9_000);
    await decidesOn();
    expect(promotionBytes()).toBeGreaterThan(1);
    expect(tries()).toBeLessThan(6);
    noFaults();
    await expect.poll(() => file('0/state'), POLL).toBe('on');
    await expect.poll(state, POLL).toBe('moving');
  });

  test('when its kdamond does not start with the others', async () => {
    const kernel = new FakeKernel();
    kernel.fault = (path, value) => (path === `${ROOT}/0/state` && value === 'on' ? 'EINVAL' : undefined);
    await moving(kernel);
    expect(status().problem).toMatch(/node 0: its kdamond does not start: .*EINVAL/);
    noFaults();
    await expect.poll(() => engine.runtime.schemes().length, POLL).toBe(2);
    await expect.poll(state, POLL).toBe('moving');
  });

  test('when the state of its kdamond cannot be read', async () => {
    await moving();
    engine.kernel.fault = (path, text) => (text === undefined && path === `${ROOT}/0/state` ? 'EIO' : undefined);
    await expect.poll(() => status().problem, POLL).toMatch(/node 0: whether its kdamond runs cannot be read: .*EIO/);
    await decidesOn();
    expect(promotionBytes()).toBeGreaterThan(1);
    noFaults();
    await expect.poll(state, POLL).toBe('moving');
  });

  test('when its statistics cannot be read', async () => {
    await moving();
    failWrites(/kdamonds\/1\/state$/, /^update_schemes_stats$/, 'EIO');
    await expect.poll(promotionBytes, POLL).toBe(1);
    expect(status().problem).toMatch(/node 1: .*EIO/);
    await decidesOn();
    noFaults();
    await expect.poll(promotionBytes, POLL).toBeGreaterThan(1);
  });
});
