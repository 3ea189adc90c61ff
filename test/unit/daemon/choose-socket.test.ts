import { chmod, mkdir, mkdtemp, rm } from 'node:fs/promises';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { chooseSocket } from '../../../daemon/client/choose-socket.ts';

/** Neither root nor the owner of what root makes. */
const NOBODY = 65_534;

let directory: string;
let sockets: { socket: string; readSocket: string };
const servers = [createServer(), createServer()];

beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), 'tierd-choose-'));
  await chmod(directory, 0o755);
  sockets = { socket: join(directory, 'main.sock'), readSocket: join(directory, 'read', 'tierd.sock') };
  await mkdir(join(directory, 'read'));
});

afterEach(async () => {
  for (const server of servers) if (server.listening) await new Promise((resolve) => server.close(resolve));
  await rm(directory, { recursive: true });
});

async function listen(path: string, mode: number): Promise<void> {
  const server = servers.find(({ listening }) => !listening);
  await new Promise<void>((resolve) => server?.listen(path, resolve));
  await chmod(path, mode);
}

/** What somebody chooses whom the modes of files bind. */
async function chosenByOthers(method: 'GET' | 'POST', readSocket = sockets.readSocket): Promise<string> {
  const isRoot = process.getuid?.() === 0;
  if (isRoot) process.seteuid?.(NOBODY);
  try {
    return await chooseSocket(method, { ...sockets, readSocket });
  } finally {
    if (isRoot) process.seteuid?.(0);
  }
}

test('who may open the socket for all is given that', async () => {
  await listen(sockets.socket, 0o666);
  await listen(sockets.readSocket, 0o666);
  expect(await chosenByOthers('GET')).toBe(sockets.socket);
});

test('who may not reads over that for readers, and is told so of changes', async () => {
  await listen(sockets.socket, 0);
  await listen(sockets.readSocket, 0o666);
  expect(await chosenByOthers('GET')).toBe(sockets.readSocket);
  expect(await chosenByOthers('POST')).toBe(sockets.socket);
  expect(await chosenByOthers('GET', 'off')).toBe(sockets.socket);
});

test('where both are closed, or no daemon has one for readers, the first says why', async () => {
  await listen(sockets.socket, 0);
  expect(await chosenByOthers('GET')).toBe(sockets.socket);
  await listen(sockets.readSocket, 0);
  expect(await chosenByOthers('GET')).toBe(sockets.socket);
});

test('a daemon that does not run is looked for where it listens', async () => {
  expect(await chosenByOthers('GET')).toBe(sockets.socket);
});
