import type { FileHandle } from 'node:fs/promises';
import { lstat, mkdir, unlink } from 'node:fs/promises';
import { connect } from 'node:net';
import { dirname } from 'node:path';
import { setTimeout } from 'node:timers/promises';
import { SyscallsUnavailableError } from '../numa/syscalls/errors.ts';
import { tryLock } from '../numa/syscalls/file-lock.ts';
import { AlreadyRunningError, ApiSocketError } from './errors.ts';
import type { Api } from './routes/context.ts';

/** Read and write for owner and group, nothing for others: 0660. */
const SOCKET_UMASK = 0o117;

/** sun_path of a Unix socket address, without its closing zero byte. */
const MAX_PATH_BYTES = 107;

/** Taking a socket over is a matter of milliseconds. */
const MAX_LOCK_WAIT_MS = 2_000;
const LOCK_AGAIN_MS = 20;

/**
 * Listens on a Unix socket that only owner and group can use. A socket left behind by a daemon that was killed is replaced;
 * one that answers is not: throws AlreadyRunningError.
 */
export async function listenOnSocket(api: Api, path: string): Promise<void> {
  if (Buffer.byteLength(path) > MAX_PATH_BYTES) {
    throw new ApiSocketError(path, `a socket's path has at most ${MAX_PATH_BYTES} bytes`);
  }
  try {
    await mkdir(dirname(path), { recursive: true });
    await api.ready();
    await alone(path, async () => {
      await removeStale(path);
      await withUmask(SOCKET_UMASK, () =>
        api.listen({ path, listenTextResolver: (address) => `API listens on ${address}` }),
      );
    });
  } catch (error) {
    throw error instanceof Error && 'syscall' in error
      ? new ApiSocketError(path, error.message, { cause: error })
      : error;
  }
}

/** Listens on a TCP port of the loopback address only. Throws ApiSocketError. */
export async function listenOnLoopback(api: Api, port: number): Promise<void> {
  try {
    await api.listen({
      host: '127.0.0.1',
      port,
      listenTextResolver: (address) => `API listens on ${address} too, with a token`,
    });
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error);
    throw new ApiSocketError(`127.0.0.1:${port}`, reason, { cause: error });
  }
}

/** Two daemons that start at once must not take each other's new socket for a stale one: the folder is locked meanwhile. */
async function alone(path: string, action: () => Promise<void>): Promise<void> {
  const lock = await lockFolder(path);
  try {
    await action();
  } finally {
    await lock?.close();
  }
}

async function lockFolder(path: string): Promise<FileHandle | undefined> {
  for (let waitedMs = 0; waitedMs < MAX_LOCK_WAIT_MS; waitedMs += LOCK_AGAIN_MS) {
    try {
      const lock = await tryLock(dirname(path));
      if (lock !== undefined) return lock;
    } catch (error) {
      // Without koffi there are no locks; the damos engine does without it.
      if (error instanceof SyscallsUnavailableError) return undefined;
      throw error;
    }
    await setTimeout(LOCK_AGAIN_MS);
  }
  throw new AlreadyRunningError(path);
}

async function removeStale(path: string): Promise<void> {
  const found = await lstat(path).catch(() => undefined);
  if (found === undefined) return;
  if (!found.isSocket()) throw new ApiSocketError(path, 'there is a file that is not a socket');
  if (await answers(path)) throw new AlreadyRunningError(path);
  await unlink(path);
}

/** Whether somebody listens. A full backlog (EAGAIN) or a socket we may not use (EACCES) is somebody's. */
function answers(path: string): Promise<boolean> {
  return new Promise((resolve) => {
    const client = connect(path);
    client.once('connect', () => {
      client.destroy();
      resolve(true);
    });
    client.once('error', (error) => resolve(!('code' in error && error.code === 'ECONNREFUSED')));
  });
}

/** The umask belongs to the whole process: nothing else may create files while the action runs. */
async function withUmask<T>(mask: number, action: () => Promise<T>): Promise<T> {
  const before = process.umask(mask);
  try {
    return await action();
  } finally {
    process.umask(before);
  }
}
