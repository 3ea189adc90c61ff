import { mkdtemp, rm } from 'node:fs/promises';
import type { IncomingMessage } from 'node:http';
import { request } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { finished } from 'node:stream/promises';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { EventClients, MAX_EVENT_CLIENTS } from '../../../api/events/event-clients.ts';
import { eventLines, SERVER_SENT_EVENTS } from '../../../api/events/event-format.ts';
import { EventStream } from '../../../api/events/event-stream.ts';
import { listenOnSocket } from '../../../api/socket.ts';
import type { TieringEvent } from '../../../tiering/events/event.ts';
import { EventLog } from '../../../tiering/events/event-log.ts';
import type { Harness } from './harness.ts';
import { harness } from './harness.ts';

const STATE: TieringEvent = { type: 'state', state: 'moving', before: 'settled', message: 'settled -> moving' };

function warning(message: string): TieringEvent {
  return { type: 'warning', severity: 'warning', message };
}

describe('GET /v1/events', () => {
  let directory: string;
  let path: string;
  let made: Harness;
  const clients: IncomingMessage[] = [];

  beforeEach(async () => {
    directory = await mkdtemp(join(tmpdir(), 'tierd-events-'));
    path = join(directory, 'tierd.sock');
    made = harness();
    await listenOnSocket(made.api, path);
  });
  afterEach(async () => {
    for (const client of clients.splice(0)) client.destroy();
    await made.api.close();
    await rm(directory, { recursive: true });
  });

  /** Connects and gives what has come so far. */
  async function follow(headers: Record<string, string> = {}, url = '/v1/events', method = 'GET') {
    const response = await new Promise<IncomingMessage>((resolve, reject) => {
      request({ socketPath: path, path: url, method, headers }, resolve).once('error', reject).end();
    });
    clients.push(response);
    let text = '';
    response.setEncoding('utf8').on('data', (chunk: string) => {
      text += chunk;
    });
    // A test ends by destroying it.
    response.on('error', () => undefined);
    const until = (part: string) => expect.poll(() => text, { interval: 5 }).toContain(part);
    return { response, until, text: () => text };
  }

  test('sends what happens from now on, with id, type and data', async () => {
    const { events } = made.service;
    events.publish(warning('before'));
    const client = await follow();
    expect(client.response.headers).toMatchObject({
      'content-type': 'text/event-stream; charset=utf-8',
      'cache-control': 'no-store',
    });
    events.publish(STATE, new Date('2026-11-23T19:00:00Z'));
    await client.until('"at"');
    expect(client.text()).toBe(
      `retry: 2000\n\nid: ${events.runId}-2\nevent: state\ndata: ${JSON.stringify({ ...STATE, at: '2026-11-23T19:00:00.000Z' })}\n\n`,
    );
  });

  test('goes on after the event that the client has seen last', async () => {
    const { events } = made.service;
    for (const name of ['a', 'b', 'c']) events.publish(warning(name));
    const client = await follow({ 'last-event-id': `${events.runId}-2` });
    await client.until('"message":"c"');
    expect(client.text()).not.toContain('"message":"b"');
    events.publish(warning('d'));
    await client.until(`id: ${events.runId}-4\n`);
  });

  test.each(['0', '00000000-2', '', 'x'.repeat(500), `deadbeef-${'9'.repeat(30)}`])(
    'an id that is not of this run, %j, gives all that is kept',
    async (id) => {
      const { events } = made.service;
      for (const name of ['a', 'b']) events.publish(warning(name));
      const client = await follow({ 'last-event-id': id });
      await client.until('"message":"b"');
      expect(client.text()).toContain('"message":"a"');
      expect(client.text()).not.toContain('gap');
    },
  );

  test('tells how many events the client has missed', async () => {
    const { events } = made.service;
    for (let index = 1; index <= 1010; index++) events.publish(warning(`${index}`));
    const client = await follow({ 'last-event-id': `${events.runId}-4` });
    await client.until(`id: ${events.runId}-1010\n`);
    expect(client.text()).toContain('event: gap\ndata: {"type":"gap","missedEvents":6}\n\nid: ');
    expect(client.text().match(/^id: /gm)).toHaveLength(1000);
  });

  test('as lines for a terminal, none wider than 100 columns, and nothing in them steers it', async () => {
    const client = await follow({}, '/v1/events?format=text');
    expect(client.response.headers['content-type']).toBe('text/plain; charset=utf-8');
    made.service.events.publish(STATE, new Date('2026-11-23T19:00:00Z'));
    made.service.events.publish(warning(`cgroup /\u001b[2J\n${'word '.repeat(60)}`), new Date('2026-11-23T19:00:01Z'));
    await client.until('warning');
    const lines = client.text().split('\n');
    expect(lines.slice(0, 2)).toEqual([
      'UTC                  EVENT      WHAT',
      '2026-11-23 19:00:00  state      settled -> moving',
    ]);
    expect(lines[2]).toMatch(/^2026-11-23 19:00:01 {2}warning {4}cgroup \/\?\[2J\?word /);
    expect(Math.max(...lines.map((line) => line.length))).toBeLessThanOrEqual(100);
  });

  test(`refuses more than ${MAX_EVENT_CLIENTS} clients, and takes another when one has gone`, async () => {
    const followed = [];
    for (let index = 0; index < MAX_EVENT_CLIENTS; index++) followed.push(await follow());
    const refused = await follow();
    expect(refused.response.statusCode).toBe(429);
    await refused.until('TIERD_TOO_MANY_EVENT_CLIENTS');
    followed[3]?.response.destroy();
    await expect.poll(async () => (await follow()).response.statusCode, { interval: 50 }).toBe(200);
  });

  test('ends in order when the daemon ends, at once', async () => {
    const client = await follow();
    made.service.events.publish(warning('the last'));
    const since = performance.now();
    await made.api.close();
    expect(performance.now() - since).toBeLessThan(1000);
    // Rejects when the answer was cut off.
    await finished(client.response);
    expect(client.text()).toContain('the last');
  });

  test('cannot be asked for by HEAD, which would never end', async () => {
    expect((await follow({}, '/v1/events', 'HEAD')).response.statusCode).toBe(405);
  });

  test('is not counted among the durations of requests', async () => {
    const client = await follow();
    client.response.destroy();
    await made.api.inject('/v1/status');
    await expect.poll(async () => (await made.api.inject('/metrics')).body).toContain('route="/v1/status"');
    expect((await made.api.inject('/metrics')).body).not.toContain('route="/v1/events"');
  });

  test('refuses a parameter that it does not know', async () => {
    expect((await made.api.inject('/v1/events?since=1')).statusCode).toBe(400);
  });
});

describe('a stream of events', () => {
  function stream(log: EventLog, options: { readonly heartbeatMs?: number; readonly after?: number } = {}) {
    let wasDropped = false;
    const made = new EventStream({
      log,
      format: SERVER_SENT_EVENTS,
      after: log.last,
      heartbeatMs: 60_000,
      onTooSlow: () => {
        wasDropped = true;
      },
      ...options,
    });
    return { stream: made, wasDropped: () => wasDropped };
  }

  test('drops a client that does not read before the log forgets more than it has read', () => {
    const log = new EventLog();
    const slow = stream(log);
    for (let index = 0; index < 999; index++) log.publish(warning('x'.repeat(900)));
    expect(slow.stream.readableLength).toBeLessThan(1000);
    expect(slow.wasDropped()).toBe(false);
    for (let index = 0; index < 2; index++) log.publish(warning('x'));
    expect(slow.wasDropped()).toBe(true);
    expect(slow.stream.destroyed).toBe(true);
  });

  test('holds no more than its buffer for a client that stopped reading', async () => {
    const log = new EventLog();
    const slow = stream(log);
    slow.stream.read();
    for (let index = 0; index < 900; index++) log.publish(warning('x'.repeat(900)));
    await sleep(1);
    expect(slow.stream.readableLength).toBeGreaterThan(0);
    expect(slow.stream.readableLength).toBeLessThan(2 * slow.stream.readableHighWaterMark);
    slow.stream.destroy();
  });

  test('drops a client that takes nothing for four heartbeats, and not one that does', async () => {
    const log = new EventLog();
    const [stuck, reading] = [stream(log, { heartbeatMs: 20 }), stream(log, { heartbeatMs: 20 })];
    let text = '';
    reading.stream.on('data', (chunk: Buffer) => {
      text += chunk.toString('utf8');
    });
    // More than fits the buffer: there is something to take.
    for (let index = 0; index < 100; index++) log.publish(warning('x'.repeat(900)));
    await expect.poll(() => stuck.wasDropped(), { interval: 5 }).toBe(true);
    await expect.poll(() => text.match(/^:$/gm)?.length, { interval: 5 }).toBeGreaterThan(8);
    expect(reading.wasDropped()).toBe(false);
    reading.stream.destroy();
  });

  test('sends every event once and in order, however many there are', async () => {
    const log = new EventLog();
    const { stream: reading } = stream(log);
    const seen: number[] = [];
    reading.on('data', (chunk: Buffer) => {
      for (const [, id] of chunk.toString('utf8').matchAll(/^id: \w+-(\d+)$/gm)) seen.push(Number(id));
    });
    for (let burst = 0; burst < 20; burst++) {
      for (let index = 0; index < 200; index++) log.publish(warning('x'.repeat(200)));
      await expect.poll(() => seen.length, { interval: 1 }).toBe((burst + 1) * 200);
    }
    expect(seen).toEqual(Array.from({ length: 4000 }, (_, index) => index + 1));
    reading.destroy();
  });
});

test('a client that is gone leaves its place', async () => {
  const clients = new EventClients(new EventLog());
  const stream = clients.open(eventLines(100), undefined, () => undefined);
  expect(clients.size).toBe(1);
  stream.destroy();
  await expect.poll(() => clients.size).toBe(0);
});
