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
  // The fake engine's last tick was at 1.9 s.
  const watchdog = startWatchdog({ service: new FakeService(), notifier, nowMs: () => 70_000, everyMs: 20_000 });
  vi.advanceTimersByTime(20_000);
  expect(told).toEqual([expect.stringMatching(/^the control loop stands still; moving/)]);
  watchdog.stop();
});

test('a loop that has not begun is no loop that stands still', () => {
  const heartbeat = { ticks: 0, decisions: 0, lastTickAtMs: undefined, lastDecisionMs: undefined };
  expect(isStuck(heartbeat, 1e9)).toBe(false);
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
