import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { startLine, tellStartStatus } from '../../../daemon/start-status.ts';
import { FakeService } from '../api/fake-service.ts';

beforeEach(() => void vi.useFakeTimers({ toFake: ['setInterval', 'clearInterval'] }));
afterEach(() => void vi.useRealTimers());

test('systemd is told what a start waits for, each thing once', () => {
  const told: string[] = [];
  const service = new FakeService();
  const status = service.status();
  const notifier = { status: async (text: string) => void told.push(text) };
  service.status = () => ({ ...status, state: 'starting', waitingFor: 'DAMON: kdamond 0 (pid 7) runs' });
  const telling = tellStartStatus({ service, notifier });
  vi.advanceTimersByTime(5_000);
  expect(told).toEqual(['waiting for DAMON: kdamond 0 (pid 7) runs']);
  service.status = () => ({ ...status, state: 'starting' });
  vi.advanceTimersByTime(5_000);
  expect(told.slice(1)).toEqual(['starting: waiting for the first snapshot']);
  telling.stop();
  service.status = () => status;
  vi.advanceTimersByTime(5_000);
  expect(told).toHaveLength(2);
});

test('what goes wrong meanwhile is told in one line', () => {
  expect(startLine({ problem: 'kdamond 0\nis off' })).toBe('starting: kdamond 0 is off');
});
