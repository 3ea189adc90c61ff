import { setTimeout as sleep } from 'node:timers/promises';
import { loadConfig, parseConfig } from '../config.ts';
import type { Config } from '../config-schema.ts';
import { EXIT_OK } from '../exit-codes.ts';
import { answerText } from './answer-text.ts';
import { ask, follow } from './ask.ts';
import { stateAtWork } from './at-work.ts';
import { chooseSocket } from './choose-socket.ts';
import type { ClientRequest } from './client-request.ts';
import { DaemonUnreachableError, RequestRefusedError } from './errors.ts';
import { EventData } from './event-data.ts';

const WATCH_EVERY_MS = 1_000;
const [HOME, END_OF_LINE, BELOW] = ['\u001b[H', '\u001b[K', '\u001b[J'];
const WHOLE_SCREEN = '\u001b[2J';

export interface ClientIo {
  readonly write: (text: string) => void;
  /** For people, beside the answer. */
  readonly warn: (text: string) => void;
  /** A person watches: each look replaces the one before. */
  readonly isTerminal: boolean;
  /** Ends watching; for tests. */
  readonly signal?: AbortSignal;
}

/** Asks the running daemon and prints its answer. Resolves with the exit code; rejects as ask() does, and with NotAtWorkError. */
export async function askDaemon(request: ClientRequest, io: ClientIo): Promise<number> {
  const socket = request.socket ?? (await chooseSocket(request.method, (await configured()).api));
  if (request.watch === true) await watch(request, socket, io);
  else if (request.follow === true) await print(request, socket, io);
  else {
    const answer = await ask(request, socket);
    io.write(request.check === true ? `${stateAtWork(answer)}\n` : answerText(request, answer));
    if (answer.warning !== undefined) io.warn(`warning: ${answer.warning}\n`);
  }
  return EXIT_OK;
}

/** Prints what comes as it comes, until the daemon ends. */
async function print(request: ClientRequest, socket: string, { write, signal }: ClientIo): Promise<void> {
  const events = new EventData();
  for await (const piece of follow(request, socket, signal)) write(request.as === 'text' ? piece : events.lines(piece));
}

/** A daemon that restarts meanwhile is waited for: whoever watches wants to see it come back. */
async function watch(request: ClientRequest, socket: string, { write, isTerminal, signal }: ClientIo): Promise<void> {
  if (isTerminal) write(`${HOME}${WHOLE_SCREEN}`);
  while (signal?.aborted !== true) {
    const text = await ask(request, socket)
      .then((answer) => answerText(request, answer))
      .catch((error: unknown) => {
        if (error instanceof DaemonUnreachableError || error instanceof RequestRefusedError)
          return `${error.message}\n`;
        throw error;
      });
    write(isTerminal ? `${HOME}${text.replaceAll('\n', `${END_OF_LINE}\n`)}${BELOW}` : `${text}\n`);
    await sleep(WATCH_EVERY_MS, undefined, signal && { signal }).catch(() => undefined);
  }
}

/** What the daemon's configuration says where that can be read, else the defaults. */
export function configured(): Promise<Config> {
  return loadConfig(undefined).then(
    ({ config }) => config,
    () => parseConfig('', ''),
  );
}
