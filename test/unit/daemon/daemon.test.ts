import { EventEmitter } from 'node:events';
import { existsSync } from 'node:fs';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { request } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { setTimeout } from 'node:timers/promises';
import { pino } from 'pino';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { OperatorSettings } from '../../../api/policy/operator-settings.ts';
import { runDaemon } from '../../../daemon/daemon.ts';
import { watchForEnding } from '../../../daemon/ending.ts';
import type { LeftOn } from '../../../tiering/damon/driver.ts';
import { NoTiersError } from '../../../tiering/errors.ts';
import { FakeService } from '../api/fake-service.ts';
import { machine } from '../tiering/machines.ts';

/** An engine that tells what is asked of it. */
class FakeRuntime extends FakeService {
  readonly ready: Promise<void>;
  readonly #events: string[];
  becomeReady: () => void = () => undefined;
  startFailure: Error | undefined;
  stopDelayMs = 0;
  leftOn: readonly LeftOn[] = [];

  constructor(events: string[]) {
    super();
    this.#events = events;
    this.ready = new Promise((resolve) => {
      this.becomeReady = resolve;
    });
  }

  async start(): Promise<void> {
    this.#events.push('start');
    if (this.startFailure !== undefined) throw this.startFailure;
  }

  async stop(): Promise<readonly LeftOn[]> {
    await setTimeout(this.stopDelayMs);
    this.#events.push('stop');
    return this.leftOn;
  }
}

let directory: string;
beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), 'tierd-daemon-'));
});
afterEach(() => rm(directory, { recursive: true }));

function daemon(
  adjust: (runtime: FakeRuntime, processEvents: EventEmitter) => void = () => undefined,
  hasTerminal = true,
  readSocket = join(directory, 'read', 'tierd.sock'),
) {
  const events: string[] = [];
  const log: string[] = [];
  const runtime = new FakeRuntime(events);
  const processEvents = new EventEmitter();
  const watch = watchForEnding(processEvents, hasTerminal);
  adjust(runtime, processEvents);
  const socket = join(directory, 'tierd.sock');
  const logger = pino({ base: null, timestamp: false }, { write: (line) => log.push(line) });
  const layers = { commandLine: {}, rest: {}, file: {} };
  const ended = runDaemon({
    runtime,
    settings: new OperatorSettings({
      service: runtime,
      layers,
      save: async () => undefined,
      invalidate: async () => undefined,
      logger,
    }),
    reload: async () => void events.push('reload'),
    logger,
    notifier: {
      ready: async (status) => void events.push(`ready: ${status}`),
      reloading: async () => void events.push('reloading'),
      alive: async () => undefined,
      status: async () => undefined,
      stopping: async () => void events.push('stopping'),
    },
    socket,
    readSocket,
    version: '1',
    watch,
    exit: (code) => void events.push(`exit ${code}`),
  });
  return { runtime, events, log, processEvents, socket, readSocket, ended };
}

function ask(socketPath: string, path: string, method = 'GET'): Promise<{ status?: number; body: string }> {
  return new Promise((resolve, reject) => {
    const asking = request({ socketPath, path, method }, async (response) => {
      const body = await text(response);
      resolve({ ...(response.statusCode !== undefined && { status: response.statusCode }), body });
    });
    asking.once('error', reject).end();
  });
}

async function until(condition: () => boolean): Promise<void> {
  while (!condition()) await setTimeout(5);
}

test.each(['SIGTERM', 'SIGINT', 'SIGHUP'])('%s ends it with everything put back', async (signal) => {
  const { runtime, events, log, processEvents, socket, ended } = daemon();
  await until(() => events.includes('start'));
  expect(existsSync(socket)).toBe(true);
  expect(events).toEqual(['start']);
  runtime.becomeReady();
  await until(() => events.length === 2);
  processEvents.emit(signal);
  expect(await ended).toBe(0);
  expect(events).toEqual(['start', 'ready: watching 2 memory nodes', 'stopping', 'stop']);
  expect(existsSync(socket)).toBe(false);
  expect(processEvents.eventNames()).toEqual([]);
  expect(log.join('')).toContain(`"signal":"${signal}"`);
});

test('without a terminal SIGHUP reads the configuration again, once it is ready', async () => {
  const { runtime, events, processEvents, ended } = daemon(undefined, false);
  await until(() => events.includes('start'));
  processEvents.emit('SIGHUP');
  runtime.becomeReady();
  await until(() => events.includes('reload'));
  processEvents.emit('SIGHUP');
  await until(() => events.filter((event) => event === 'reload').length === 2);
  processEvents.emit('SIGTERM');
  expect(await ended).toBe(0);
  expect(events).toEqual(['start', 'ready: watching 2 memory nodes', 'reload', 'reload', 'stopping', 'stop']);
});

test('a signal ends it while the engine still waits', async () => {
  const { events, processEvents, ended } = daemon((runtime) => {
    runtime.start = () => new Promise(() => undefined);
  });
  await setTimeout(50);
  processEvents.emit('SIGTERM');
  expect(await ended).toBe(0);
  expect(events).toEqual(['stopping', 'stop']);
});

test('an engine that cannot start ends it with the reason, and no socket stays', async () => {
  const { events, socket, ended } = daemon((runtime) => {
    runtime.startFailure = new NoTiersError(machine([{ nodeId: 0, tier: 0, totalMiB: 64 }]));
  });
  await expect(ended).rejects.toMatchObject({ code: 'TIERD_NO_TIERS' });
  expect(events).toEqual(['start', 'stop']);
  expect(existsSync(socket)).toBe(false);
});

test('the socket for readers answers from the start to the end, counts with the other, and lets nothing be changed', async () => {
  const { runtime, events, processEvents, socket, readSocket, ended } = daemon();
  await until(() => events.includes('start'));
  expect((await ask(socket, '/v1/topology')).status).toBe(200);
  const { status, body } = await ask(readSocket, '/metrics');
  expect(status).toBe(200);
  expect(body).toMatch(/^tierd_http_request_duration_seconds_count\{.*route="\/v1\/topology".*\} 1$/m);
  expect(await ask(readSocket, '/v1/pause', 'POST')).toMatchObject({ status: 403 });
  expect(runtime.pausedSince()).toBeUndefined();
  expect((await ask(socket, '/v1/pause', 'POST')).status).toBe(200);
  processEvents.emit('SIGTERM');
  expect(await ended).toBe(0);
  expect([existsSync(socket), existsSync(readSocket)]).toEqual([false, false]);
});

test('a socket for readers that cannot be opened is told in the log, and memory is managed', async () => {
  await writeFile(join(directory, 'file'), '');
  const { events, log, processEvents, socket, ended } = daemon(undefined, true, join(directory, 'file', 'tierd.sock'));
  await until(() => events.includes('start'));
  expect((await ask(socket, '/v1/status')).status).toBe(200);
  expect(log.join('')).toMatch(/cannot listen on .*file.tierd\.sock.*api\.readSocket cannot be opened/);
  processEvents.emit('SIGTERM');
  expect(await ended).toBe(0);
});

test('a second daemon on the same socket does not touch DAMON', async () => {
  const first = daemon();
  await until(() => first.events.includes('start'));
  const second = daemon();
  await expect(second.ended).rejects.toMatchObject({ code: 'TIERD_ALREADY_RUNNING' });
  expect(second.events).not.toContain('start');
  first.processEvents.emit('SIGTERM');
  expect(await first.ended).toBe(0);
});

test.each(['uncaughtException', 'unhandledRejection'])('%s ends it with 1, everything put back', async (name) => {
  const { events, log, processEvents, ended } = daemon();
  await until(() => events.includes('start'));
  processEvents.emit(name, new Error('bug'));
  expect(await ended).toBe(1);
  expect(events.at(-1)).toBe('stop');
  expect(log.join('')).toContain('bug');
});

test('a second signal ends it at once', async () => {
  const { events, processEvents, ended } = daemon((runtime) => {
    runtime.stopDelayMs = 100;
  });
  await until(() => events.includes('start'));
  processEvents.emit('SIGTERM');
  processEvents.emit('SIGTERM');
  expect(events).toContain('exit 1');
  await ended;
});

test('a signal that came before the daemon was put together ends it after it took DAMON over', async () => {
  const { events, ended } = daemon((_runtime, processEvents) => processEvents.emit('SIGTERM'));
  expect(await ended).toBe(0);
  expect(events).toEqual(['start', 'stopping', 'stop']);
});

test('the API answers until DAMON is given back', async () => {
  const { events, processEvents, socket, ended } = daemon((runtime) => {
    runtime.stopDelayMs = 300;
  });
  await until(() => events.includes('start'));
  processEvents.emit('SIGTERM');
  const answer = await ask(socket, '/v1/status');
  expect(events).not.toContain('stop');
  expect(answer.body).toContain('"state"');
  await ended;
});

test('a kdamond that may go on shows in the exit code', async () => {
  const { events, processEvents, ended } = daemon((runtime) => {
    runtime.leftOn = [{ index: 1, nodeId: 1, reason: 'it does not answer' }];
  });
  await until(() => events.includes('start'));
  processEvents.emit('SIGTERM');
  expect(await ended).toBe(84);
});

test('a status that cannot be told keeps nobody from giving DAMON back', async () => {
  const { events, ended } = daemon((runtime) => {
    runtime.status = () => {
      throw new Error('bug');
    };
  });
  await expect(ended).rejects.toThrow('bug');
  expect(events.at(-1)).toBe('stop');
});

test('nor does one that breaks when the daemon is at work', async () => {
  const { runtime, events, processEvents, ended } = daemon();
  await until(() => events.includes('start'));
  runtime.becomeReady();
  await until(() => events.length === 2);
  runtime.status = () => {
    throw new Error('bug');
  };
  processEvents.emit('uncaughtException', new Error('bug'));
  expect(await ended).toBe(1);
  expect(events.at(-1)).toBe('stop');
});
