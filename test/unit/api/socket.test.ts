import { chmod, chown, mkdir, mkdtemp, rename, rm, stat, symlink, writeFile } from 'node:fs/promises';
import { request } from 'node:http';
import { connect, createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { afterEach, beforeEach, expect, test } from 'vitest';
import type { Api } from '../../../api/routes/context.ts';
import { listenOnSocket } from '../../../api/socket.ts';
import { largeSnapshot } from './fake-service.ts';
import { harness } from './harness.ts';

let directory: string;
let path: string;
const apis: Api[] = [];

beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), 'tierd-socket-'));
  path = join(directory, 'run', 'tierd.sock');
});

afterEach(async () => {
  await Promise.all(apis.splice(0).map((api) => api.close()));
  await rm(directory, { recursive: true });
});

async function listening(at = path) {
  const started = harness();
  apis.push(started.api);
  await listenOnSocket(started.api, at);
  return started;
}

function get(url: string): Promise<string> {
  return new Promise((resolve, reject) => {
    request({ socketPath: path, path: url }, (response) => resolve(text(response)))
      .once('error', reject)
      .end();
  });
}

/** A socket file whose process is gone: closing removes only the name it was opened by. */
async function leaveStaleSocket(): Promise<void> {
  const server = createServer();
  await mkdir(join(directory, 'run'));
  await new Promise<void>((resolve) => server.listen(`${path}.old`, resolve));
  await rename(`${path}.old`, path);
  await new Promise((resolve) => server.close(resolve));
}

test('makes the folder, listens with mode 0660 and answers', async () => {
  const umask = process.umask();
  await listening();
  expect((await stat(path)).mode & 0o777).toBe(0o660);
  expect(process.umask()).toBe(umask);
  expect(JSON.parse(await get('/v1/status'))).toMatchObject({ version: '1.2.3' });
});

test('the socket has the group of a directory that hands its group on', async () => {
  const run = join(directory, 'run');
  await mkdir(run);
  // Only root may give a directory to a group that it is not in.
  const gid = process.getuid?.() === 0 ? 12_345 : (process.getgroups?.().at(-1) ?? 0);
  await chown(run, -1, gid);
  await chmod(run, 0o2750);
  await listening();
  const { gid: given, mode } = await stat(path);
  expect([given, mode & 0o777]).toEqual([gid, 0o660]);
});

test('sends ten thousand regions whole', async () => {
  const { service } = await listening();
  service.snapshotList = [largeSnapshot(10_000)];
  const [json, table] = await Promise.all([get('/v1/snapshot'), get('/v1/snapshot?format=text')]);
  expect(JSON.parse(json).nodes[0].regions).toHaveLength(10_000);
  expect(table.split('\n')).toHaveLength(10_003);
});

test('bytes that are not HTTP are refused with a problem', async () => {
  await listening();
  const client = connect(path);
  client.end('hello\r\n\r\n');
  const answer = await text(client);
  expect(answer).toMatch(/^HTTP\/1\.1 400 /);
  expect(answer).toContain('"code":"TIERD_BAD_REQUEST"');
});

test('closing removes the socket even while a client keeps its connection', async () => {
  const { api } = await listening();
  const client = connect(path);
  await new Promise((resolve) => client.once('connect', resolve));
  await api.close();
  await expect(stat(path)).rejects.toThrow('ENOENT');
  client.destroy();
});

test('a stale socket is replaced', async () => {
  await leaveStaleSocket();
  await listening();
  expect(await get('/v1/policy')).toContain('fastUtilization');
});

test('a socket that somebody answers on is left alone', async () => {
  await listening();
  await expect(listening()).rejects.toMatchObject({
    code: 'TIERD_ALREADY_RUNNING',
    message: `another process answers on ${path}; stop it, or choose another socket (--socket; api.readSocket for readers)`,
  });
  expect(await get('/v1/policy')).toContain('fastUtilization');
});

test.each(['file', 'link'])('a %s that is not a socket is left alone', async (kind) => {
  const other = join(directory, 'other');
  if (kind === 'file') await writeFile(other, 'precious');
  else await symlink('/etc/passwd', other);
  await expect(listening(other)).rejects.toMatchObject({
    code: 'TIERD_API_SOCKET',
    message: `cannot listen on ${other}: there is a file that is not a socket`,
  });
});

test('a path that is too long, or leads through a file, is an error that says so', async () => {
  await expect(listening(join(directory, 'x'.repeat(108)))).rejects.toThrow(/a socket's path has at most 107 bytes$/);
  await writeFile(join(directory, 'file'), '');
  await expect(listening(join(directory, 'file', 'tierd.sock'))).rejects.toMatchObject({ code: 'TIERD_API_SOCKET' });
});

test('of daemons that start at once over a stale socket one gets it, and the others are told', async () => {
  await leaveStaleSocket();
  const starts = await Promise.allSettled(Array.from({ length: 8 }, () => listening()));
  const refused = starts.flatMap((start) => (start.status === 'rejected' ? [start.reason] : []));
  expect(refused).toHaveLength(7);
  for (const error of refused) expect(error).toMatchObject({ code: 'TIERD_ALREADY_RUNNING' });
  expect(await get('/v1/policy')).toContain('fastUtilization');
});
