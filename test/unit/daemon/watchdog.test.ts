import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { isStuck, startWatchdog, statusLine, watchdogEveryMs } from '../../../daemon/watchdog.ts';
import { FakeService } from '../api/fake-service.ts';

beforeEach(() => void vi.useFakeTimers({ toFake: ['setInterval', 'clearInterval'] }));
afterEach(() => void vi.useRealTimers());

test('says time and again that the loop goes on, and what it does', async () => {
  const told: string[] = [];
  const service = new FakeService();
  const notifier = { alive: async (text: string) => void told.push(text), status: async () => undefined };
  const watchdog = startWatchdog({ service, notifier, nowMs: () => 2000, everyMs: 20_000 });
  await vi.advanceTimersByTimeAsync(45_000);
  expect(told).toEqual(new Array(2).fill('moving, node 0 89.6 % of 94.0 % used, 48 MiB hot wait'));
  watchdog.stop();
  vi.advanceTimersByTime(60_000);
  expect(told).toHaveLength(2);
});

test('a loop that stands still is not told to be alive', () => {
  const told: string[] = [];
  const notifier = {
    alive: async () => void told.push('alive'),
    status: async (text: string) => void told.push(text),
  };
  let nowMs = 2_000;
  // The fake engine's last decision was at 1.85 s.
  const watchdog = startWatchdog({ service: new FakeService(), notifier, nowMs: () => nowMs, everyMs: 20_000 });
  nowMs = 70_000;
  vi.advanceTimersByTime(20_000);
  expect(told).toEqual([expect.stringMatching(/^the control loop stands still; moving/)]);
  watchdog.stop();
});

test.each([
  ['a minute', 500, 60_000],
  ['five aggregations, where those are long', 100_000, 500_000],
])('a loop stands still when it has decided nothing for %s', (_, aggregationIntervalMs, limitMs) => {
  expect(isStuck(1_000, aggregationIntervalMs, 1_000 + limitMs)).toBe(false);
  expect(isStuck(1_000, aggregationIntervalMs, 1_001 + limitMs)).toBe(true);
});

test('a loop that ticks and decides nothing is not told to be alive, also when it never decided', () => {
  const told: string[] = [];
  const notifier = {
    alive: async () => void told.push('alive'),
    status: async () => void told.push('not alive'),
  };
  let nowMs = 1_000_000;
  const service = new FakeService();
  service.heartbeat = () => ({
    ticks: 1000,
    decisions: 0,
    lastTickAtMs: nowMs,
    lastDecisionAtMs: undefined,
    lastDecisionMs: undefined,
  });
  const watchdog = startWatchdog({ service, notifier, nowMs: () => nowMs, everyMs: 20_000 });
  vi.advanceTimersByTime(20_000);
  nowMs += 61_000;
  vi.advanceTimersByTime(20_000);
  expect(told).toEqual(['alive']);
  watchdog.stop();
});

test('the status line is one line', () => {
  const status = { ...new FakeService().status(), problem: 'one\ntwo', dryRun: true };
  expect(statusLine(status)).toBe('moving (dry run), one two, node 0 89.6 % of 94.0 % used, 48 MiB hot wait');
});

test('a word that takes long is waited for', async () => {
  let words = 0;
  let done: () => void = () => undefined;
  const alive = () => {
    words += 1;
    return new Promise<void>((resolve) => {
      done = resolve;
    });
  };
  const notifier = { alive, status: async () => undefined };
  const watchdog = startWatchdog({ service: new FakeService(), notifier, nowMs: () => 2000, everyMs: 1000 });
  await vi.advanceTimersByTimeAsync(5_000);
  expect(words).toBe(1);
  done();
  await vi.advanceTimersByTimeAsync(1_000);
  expect(words).toBe(2);
  watchdog.stop();
});

test.each([
  ['the unit has no watchdog', {}, 20_000],
  ['it is short', { WATCHDOG_USEC: '5000000' }, 1_250],
  ['it is long', { WATCHDOG_USEC: '120000000' }, 20_000],
  ['it is nonsense', { WATCHDOG_USEC: 'soon' }, 20_000],
])('how often it is said follows the unit: %s', (_, environment, expected) => {
  expect(watchdogEveryMs(environment)).toBe(expected);
});
