import { expect, test } from 'vitest';
import type { TieringEvent } from '../../../../tiering/events/event.ts';
import { EventLog } from '../../../../tiering/events/event-log.ts';
import { withWarningEvents } from '../../../../tiering/events/warnings.ts';
import type { Logger } from '../../../../tiering/logger.ts';

function warning(message: string): TieringEvent {
  return { type: 'warning', severity: 'warning', message };
}

function recorder(): Logger & { readonly lines: string[] } {
  const lines: string[] = [];
  const at = (level: string) => (_fields: object, message: string) => void lines.push(`${level} ${message}`);
  return { lines, debug: at('debug'), info: at('info'), warn: at('warn'), error: at('error') };
}

test('events are numbered from 1 and read one after the other', () => {
  const events = new EventLog();
  expect([events.first, events.last, events.after(0)]).toEqual([1, 0, undefined]);
  events.publish(warning('a'), new Date('2026-11-23T19:00:00Z'));
  events.publish(warning('b'));
  expect(events.after(0)).toEqual({ ...warning('a'), sequence: 1, at: '2026-11-23T19:00:00.000Z' });
  expect(events.after(1)).toMatchObject({ message: 'b', sequence: 2 });
  expect(events.after(2)).toBeUndefined();
});

test('the newest thousand are kept', () => {
  const events = new EventLog();
  for (let index = 1; index <= 2500; index++) events.publish(warning(`${index}`));
  expect([events.first, events.last]).toEqual([1501, 2500]);
  expect(events.after(1499)).toBeUndefined();
  expect(events.after(1500)).toMatchObject({ message: '1501', sequence: 1501 });
  expect(events.after(2499)).toMatchObject({ message: '2500' });
});

test('a message is cut to a thousand characters', () => {
  const events = new EventLog();
  events.publish(warning('x'.repeat(100_000)));
  expect(events.after(0)?.message).toHaveLength(1000);
});

test('listeners hear of every event until they unsubscribe', () => {
  const events = new EventLog();
  const heard: number[] = [];
  const unsubscribe = events.subscribe(() => heard.push(events.last));
  events.publish(warning('a'));
  events.publish(warning('b'));
  unsubscribe();
  events.publish(warning('c'));
  expect(heard).toEqual([1, 2]);
});

test('two runs of the daemon have different ids', () => {
  expect(new EventLog().runId).toMatch(/^[0-9a-f]{8}$/);
  expect(new EventLog().runId).not.toBe(new EventLog().runId);
});

test('what is logged as a warning or an error is an event too, and nothing else is', () => {
  const [events, logger] = [new EventLog(), recorder()];
  const both = withWarningEvents(logger, events);
  both.debug({}, 'a');
  both.info({}, 'b');
  both.warn({}, 'c');
  both.error({}, 'd');
  expect(logger.lines).toEqual(['debug a', 'info b', 'warn c', 'error d']);
  expect(events.last).toBe(2);
  expect(events.after(0)).toMatchObject({ type: 'warning', severity: 'warning', message: 'c' });
  expect(events.after(1)).toMatchObject({ type: 'warning', severity: 'error', message: 'd' });
});
