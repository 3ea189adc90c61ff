import { execFileSync } from 'node:child_process';
import { mkdtemp, rm } from 'node:fs/promises';
import { createServer } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout } from 'node:timers/promises';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { listenOnSocket } from '../../../api/socket.ts';
import { askDaemon } from '../../../daemon/client/client.ts';
import { parseCommandLine, programOf } from '../../../daemon/command-line.ts';
import { completion } from '../../../daemon/completion.ts';
import { exitCodeOf } from '../../../daemon/exit-codes.ts';
import type { Harness } from '../api/harness.ts';
import { harness } from '../api/harness.ts';

let directory: string;
let socket: string;
let daemon: Harness;
let warnings: string[];
beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), 'tierd-client-'));
  socket = join(directory, 'tierd.sock');
  daemon = harness();
  warnings = [];
});
afterEach(async () => {
  await daemon.settings.close();
  await daemon.api.close();
  await rm(directory, { recursive: true });
});

/** What `tierd ARGS` prints. */
async function tierd(...args: readonly string[]): Promise<string> {
  const command = parseCommandLine([...args, '--socket', socket]);
  if (command.name !== 'ask') throw new Error(`tierd ${args.join(' ')} asks nothing`);
  let printed = '';
  const write = (text: string) => (printed += text);
  await askDaemon(command.request, { write, warn: (text) => warnings.push(text), isTerminal: false });
  return printed;
}

describe('the command line', () => {
  beforeEach(() => listenOnSocket(daemon.api, socket));

  test.each(['status', 'topology', 'schemes', 'snapshot', 'migrations'])(
    '%s prints the text of the API',
    async (name) => {
      const text = (await daemon.api.inject(`/v1/${name}?format=text`)).body;
      expect(await tierd(name)).toBe(text);
      expect(JSON.parse(await tierd(name, '--json'))).toEqual((await daemon.api.inject(`/v1/${name}`)).json());
    },
  );

  test.each(['moving', 'settled', 'paused'] as const)(
    'status --check prints the state of one at work: %s',
    async (state) => {
      daemon.service.statusChanges = { state };
      expect(await tierd('status', '--check')).toBe(`${state}\n`);
    },
  );

  test.each(['starting', 'degraded', 'aside', 'stopped'] as const)(
    'status --check fails for one that is %s',
    async (state) => {
      daemon.service.statusChanges = { state, problem: 'DAMON is in use by damo' };
      const refused = await tierd('status', '--check').catch((error: unknown) => error);
      expect(String(refused)).toContain(`not at work: ${state}, DAMON is in use by damo`);
      expect(exitCodeOf(refused)).toBe(75);
    },
  );

  test('policy set changes it and prints what holds now', async () => {
    expect(await tierd('policy', 'set', 'fastUtilization=0.8', 'promotion.minAccessRate=0.5')).toBe(
      'fastUtilization: 0.8\npromotion.minAccessRate: 0.5\n',
    );
    expect(daemon.service.policy()).toMatchObject({ fastUtilization: 0.8, promotion: { minAccessRate: 0.5 } });
    expect(await tierd('policy', 'get')).toMatch(/^fastUtilization +0\.8 +REST$/m);
  });

  test('policy set --dry-run tells what would change in the kernel', async () => {
    expect(await tierd('policy', 'set', '--dry-run', 'dryRun=true')).toBe(
      'node 1, promote, action: "migrate_hot" -> "stat"\n',
    );
    expect(await tierd('policy', 'set', '--dry-run', 'fastUtilization=0.5')).toContain('no kdamond');
    expect(daemon.service.applied).toEqual([]);
  });

  test('pause and resume', async () => {
    expect(JSON.parse(await tierd('pause'))).toMatchObject({ paused: true });
    expect(JSON.parse(await tierd('resume'))).toEqual({ paused: false });
  });

  test('a change that holds but could not be saved is told to be so', async () => {
    daemon.disk.failure = new Error('ENOSPC: no space left on device, write');
    expect(await tierd('policy', 'set', 'fastUtilization=0.8')).toBe('fastUtilization: 0.8\n');
    expect(await tierd('pause')).toContain('true');
    const warning = 'warning: in force, but not saved: ENOSPC: no space left on device, write; it is tried again\n';
    expect(warnings).toEqual([warning, warning]);
    delete daemon.disk.failure;
    await tierd('resume');
    expect(warnings).toHaveLength(2);
  });

  test('interleave get and set', async () => {
    expect(await tierd('interleave', 'get')).toBe((await daemon.api.inject('/v1/interleave?format=text')).body);
    await tierd('interleave', 'set', '0=3', '1=1');
    await tierd('interleave', 'set', 'recommended');
    expect(daemon.service.interleave.orders).toEqual([
      [
        { nodeId: 0, weight: 3 },
        { nodeId: 1, weight: 1 },
      ],
      'recommended',
    ]);
    await expect(tierd('interleave', 'set', '0=3', 'one=1')).rejects.toThrow('"one=1" is no NODE=WEIGHT');
    await expect(tierd('interleave', 'set', 'even')).rejects.toMatchObject({ code: 'TIERD_REQUEST_REFUSED' });
  });

  test.each([
    { as: [], look: /^UTC +EVENT +WHAT\n.* warning +one\n.* warning +two\n$/ },
    { as: ['--json'], look: /^\{.*"message":"one".*\}\n\{.*"message":"two".*\}\n$/ },
  ])('events prints what has happened, then what happens, until the daemon ends: $as', async ({ as, look }) => {
    daemon.service.events.publish({ type: 'warning', severity: 'warning', message: 'one' });
    const command = parseCommandLine(['events', ...as, '--socket', socket]);
    if (command.name !== 'ask') throw new Error('events asks nothing');
    let printed = '';
    const printing = askDaemon(command.request, {
      write: (text) => (printed += text),
      warn: (text) => warnings.push(text),
      isTerminal: false,
    });
    while (!printed.includes('one')) await setTimeout(10);
    daemon.service.events.publish({ type: 'warning', severity: 'warning', message: 'two' });
    while (!printed.includes('two')) await setTimeout(10);
    await daemon.api.close();
    expect(await printing).toBe(0);
    expect(printed).toMatch(look);
  });

  test('says what the daemon says is wrong', async () => {
    const refused = await tierd('policy', 'set', 'fastUtilization=7').catch((error: unknown) => error);
    expect(refused).toMatchObject({
      code: 'TIERD_REQUEST_REFUSED',
      message: expect.stringMatching(/^fastUtilization: 7 is not allowed: must be/),
    });
    expect(exitCodeOf(refused)).toBe(65);
  });
});

test('a daemon that does not run is said to, with where to look', async () => {
  const error = await tierd('status').catch((failure: unknown) => failure);
  expect(error).toMatchObject({
    code: 'TIERD_DAEMON_UNREACHABLE',
    message: expect.stringContaining('systemctl status'),
  });
  expect(exitCodeOf(error)).toBe(69);
});

test('something else on the socket is not taken for the daemon', async () => {
  const other = createServer((_request, response) => response.writeHead(500).end('<html>'));
  await new Promise<void>((resolve) => other.listen(socket, resolve));
  await expect(tierd('status')).rejects.toThrow('the answer has status 500 and says nothing more');
  await new Promise((resolve) => other.close(resolve));
});

test('watching goes on when the daemon restarts', async () => {
  const printed: string[] = [];
  const stop = new AbortController();
  const request = { method: 'GET', path: '/v1/status', as: 'text', watch: true, socket } as const;
  const watching = askDaemon(request, {
    write: (text) => printed.push(text),
    warn: (text) => warnings.push(text),
    isTerminal: true,
    signal: stop.signal,
  });
  while (!printed.join('').includes('cannot reach')) await setTimeout(10);
  await listenOnSocket(daemon.api, socket);
  while (!printed.join('').includes('tierd 1.2.3 on')) await setTimeout(10);
  stop.abort();
  expect(await watching).toBe(0);
});

describe('completion', () => {
  const complete = (line: string): readonly string[] => {
    const words = line.split(' ');
    const quoted = words.map((word) => `'${word}'`).join(' ');
    const script = `${completion('bash')}COMP_WORDS=(${quoted}); COMP_CWORD=${words.length - 1}; _tierd; printf '%s\\n' "\${COMPREPLY[@]}"`;
    return execFileSync('bash', ['-c', script], { encoding: 'utf8' }).trim().split('\n');
  };

  test('of a command, an option, a sub-command, a key of the policy', () => {
    expect(complete('tierd st')).toEqual(['status', 'stand-down']);
    expect(complete('tierd run --lo')).toEqual(['--log-level']);
    expect(complete('tierd policy ')).toEqual(expect.arrayContaining(['get', 'set']));
    expect(complete('tierd policy set fast')).toEqual(['fastUtilization=']);
    expect(complete('tierd policy set dryRun=true headr')).toEqual(['headroomMiB=']);
    expect(complete('tierd completion f')).toEqual(['fish']);
  });

  test('knows every command, and no hidden one, in each shell', () => {
    const names = programOf().commands.map((command) => command.name());
    for (const shell of ['bash', 'zsh', 'fish'] as const) {
      const script = completion(shell);
      for (const name of names) expect(script.includes(name)).toBe(name !== 'measure-node');
    }
  });
});
