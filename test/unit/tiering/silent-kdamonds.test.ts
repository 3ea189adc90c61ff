import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { STOP_BUDGET_MS } from '../../../tiering/damon/stop-budget.ts';
import { FakeKernel } from '../../bench/fake-kernel.ts';
import { engineOver, POLICY, RunningEngine } from './running-engine.ts';

const POLL = { timeout: 30_000, interval: 20 };
const KDAMONDS = '/sys/kernel/mm/damon/admin/kdamonds';
const IMPATIENT = { fileLimitMs: 2_000, patience: { answerMs: 200, silenceMs: 1_000 } };

let engine: RunningEngine;
let release: () => void;
beforeEach(() => {
  release = () => undefined;
});
afterEach(async () => {
  release();
  await engine.stop();
});

const file = (path: string) => engine.kernel.damon.value(path);
const promotionBytes = () => Number(file('1/contexts/0/schemes/0/quotas/bytes'));
const maxRegions = (index: number) => file(`${index}/contexts/0/monitoring_attrs/nr_regions/max`);
const decisions = () => engine.runtime.heartbeat().decisions;
const more = { ...POLICY, monitoring: { ...POLICY.monitoring, maxRegions: 5_000 } };

async function moving(): Promise<void> {
  engine = await RunningEngine.start(POLICY, new FakeKernel(), IMPATIENT);
  await expect.poll(promotionBytes, POLL).toBeGreaterThan(1);
}

async function decidesOn(): Promise<void> {
  const before = decisions();
  await expect.poll(decisions, POLL).toBeGreaterThan(before + 3);
}

/** From now on such writes hang, until they are released. */
function hang(isMeant: (path: string, value: string) => boolean): { readonly hung: () => number } {
  let hung = 0;
  const released = new Promise<void>((resolve) => {
    release = () => {
      engine.kernel.fault = () => undefined;
      resolve();
    };
  });
  engine.kernel.fault = (path, value) => {
    if (value === undefined || !isMeant(path, value)) return undefined;
    hung += 1;
    return released;
  };
  return { hung: () => hung };
}

const commandsOf = (index: number) => (path: string) => path === `${KDAMONDS}/${index}/state`;

describe('a kdamond that does not answer', () => {
  test.each([0, 1])('is a trouble of its node, and the others go on: kdamond %i', async (index) => {
    await moving();
    const { hung } = hang(commandsOf(index));
    await engine.runtime.setPolicy(more);
    expect(engine.runtime.pendingNodeIds()).toEqual([index]);
    expect(maxRegions(1 - index)).toBe('5000');
    await expect
      .poll(() => engine.runtime.status().problem, POLL)
      .toMatch(`node ${index}: its kdamond does not answer`);
    expect(engine.runtime.status().state).toBe('degraded');
    await decidesOn();
    // Nobody can end such a call, and each takes a thread.
    expect(hung()).toBe(1);
    if (index === 0) expect(promotionBytes()).toBeGreaterThan(1);

    release();
    await expect.poll(() => engine.runtime.status().state, POLL).toBe('moving');
    expect(maxRegions(index)).toBe('5000');
    expect(engine.runtime.pendingNodeIds()).toEqual([]);
  });

  test('takes a pause as soon as it answers, though nothing is decided meanwhile', async () => {
    await moving();
    const { hung } = hang(commandsOf(1));
    await expect.poll(hung, POLL).toBe(1);
    await engine.runtime.pause(new Date());
    expect(engine.runtime.pausedSince()).toBeDefined();
    await expect.poll(() => engine.runtime.pendingNodeIds(), POLL).toEqual([1]);
    expect(promotionBytes()).toBeGreaterThan(1);
    release();
    await expect.poll(promotionBytes, POLL).toBe(1);
    await expect.poll(() => engine.kernel.damon.writes.at(-1), POLL).toMatch(/=commit$/);
    await expect.poll(() => engine.runtime.status().state, POLL).toBe('paused');
  });

  test('gets no stale orders when a write of it that hung goes through after a pause', async () => {
    await moving();
    const { hung } = hang((path) => path.startsWith(`${KDAMONDS}/1/contexts/0/schemes/0/quotas/bytes`));
    await engine.runtime.setPolicy({ ...POLICY, promotion: { ...POLICY.promotion, maxMiBPerSecond: 7 } });
    await expect.poll(hung, POLL).toBe(1);
    await engine.runtime.pause(new Date());
    const before = engine.kernel.damon.writes.length;
    release();
    await expect.poll(promotionBytes, POLL).toBe(1);
    await expect.poll(() => engine.runtime.pendingNodeIds(), POLL).toEqual([]);
    const commits = engine.kernel.damon.writes.slice(before).filter((write) => write === '1/state=commit');
    expect(commits).toHaveLength(1);
  });

  test('is as silent when one of its files does not answer', async () => {
    await moving();
    hang((path) => path.startsWith(`${KDAMONDS}/0/contexts/0/monitoring_attrs`));
    await engine.runtime.setPolicy(more);
    expect(maxRegions(1)).toBe('5000');
    await expect.poll(() => engine.runtime.status().problem, POLL).toContain('node 0: its kdamond does not answer');
    await decidesOn();
    release();
    await expect.poll(() => engine.runtime.status().state, POLL).toBe('moving');
    expect(maxRegions(0)).toBe('5000');
  });

  test('does not keep the others on at the end, and is told', async () => {
    await moving();
    const { hung } = hang(commandsOf(1));
    await expect.poll(hung, POLL).toBe(1);
    const startedAtMs = performance.now();
    const stopping = engine.runtime.stop();
    await expect.poll(() => file('0/state'), { timeout: 1_000, interval: 5 }).toBe('off');
    expect(await stopping).toEqual([{ index: 1, nodeId: 1, reason: expect.any(String) }]);
    expect(performance.now() - startedAtMs).toBeLessThan(STOP_BUDGET_MS);
  });

  test('is found again by the next start: the receipt stays', async () => {
    const receipts: unknown[] = [];
    engine = await RunningEngine.start(POLICY, new FakeKernel(), {
      ...IMPATIENT,
      saveReceipt: async (receipt) => void receipts.push(receipt),
    });
    hang(commandsOf(1));
    await engine.runtime.stop();
    expect(receipts.at(-1)).toMatchObject({ kdamonds: [{ index: 1 }] });
  });
});

describe('the end', () => {
  test('comes while a start hangs, and nothing stays on', async () => {
    const kernel = new FakeKernel();
    const runtime = await engineOver(kernel, IMPATIENT);
    let go: () => void = () => undefined;
    kernel.fault = (path, value) =>
      value === 'on' && path === `${KDAMONDS}/1/state` ? new Promise<void>((resolve) => (go = resolve)) : undefined;
    const starting = runtime.start().catch((error: unknown) => error);
    await expect.poll(() => kernel.damon.value('0/state'), POLL).toBe('on');
    const stopping = runtime.stop();
    await expect.poll(() => kernel.damon.value('0/state'), POLL).toBe('off');
    kernel.fault = () => undefined;
    go();
    await Promise.all([stopping, starting]);
    await expect.poll(() => kernel.damon.value('1/state') ?? 'off', POLL).toBe('off');
    await runtime.resume().catch(() => undefined);
    await runtime.setPolicy(more).catch(() => undefined);
    expect(kernel.damon.writes.at(-1)).not.toMatch(/=on$/);
    kernel.remove();
  });

  test('is for good: what is asked for afterwards turns nothing on', async () => {
    await moving();
    await engine.runtime.setPolicy({ ...POLICY, onSwitchOff: 'stepAside' });
    engine.kernel.damon.kill(0);
    await expect.poll(() => engine.runtime.status().state, POLL).toBe('aside');
    await engine.runtime.stop();
    const before = engine.kernel.damon.writes.length;
    await expect(engine.runtime.resume()).rejects.toMatchObject({ code: 'TIERD_STOPPING' });
    await expect(engine.runtime.setPolicy(more)).rejects.toMatchObject({ code: 'TIERD_STOPPING' });
    expect(engine.kernel.damon.writes.slice(before)).toEqual([]);
  });

  test('gives DAMON back though a part fails to end', async () => {
    await moving();
    Object.assign(engine.runtime.migrations, { stop: () => Promise.reject(new Error('bug')) });
    expect(await engine.runtime.stop()).toEqual([]);
    expect(file('nr_kdamonds')).toBe('0');
  });
});

test('a change of policy while tierd starts is in force once it has started', async () => {
  const kernel = new FakeKernel();
  const runtime = await engineOver(kernel, IMPATIENT);
  engine = await RunningEngine.start();
  const starting = runtime.start();
  // At every step of the start.
  for (let patch = 0; patch < 40; patch += 1) {
    await runtime.setPolicy({ ...more, promotion: { ...more.promotion, maxMiBPerSecond: 100 + patch } });
    await new Promise((resolve) => setImmediate(resolve));
  }
  await starting;
  await expect.poll(() => kernel.damon.value('0/contexts/0/monitoring_attrs/nr_regions/max'), POLL).toBe('5000');
  expect(runtime.policy().promotion.maxMiBPerSecond).toBe(139);
  await runtime.stop();
  kernel.remove();
});
