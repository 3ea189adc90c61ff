import { Readable } from 'node:stream';
import { setImmediate } from 'node:timers/promises';
import type { FastifyReply } from 'fastify';

/**
 * Sends a long answer piece by piece. Between two pieces the event loop has its turn, so that ten thousand regions delay
 * neither the control loop nor another client.
 */
export function sendStream(reply: FastifyReply, mediaType: string, pieces: Iterable<string>): void {
  sendReadable(reply, mediaType, Readable.from(inTurns(pieces)));
}

/** Answers with text as it comes. The stream is destroyed when the client goes. */
export function sendReadable(reply: FastifyReply, mediaType: string, text: Readable): void {
  reply.type(`${mediaType}; charset=utf-8`).send(text);
}

async function* inTurns(pieces: Iterable<string>): AsyncGenerator<string> {
  for (const piece of pieces) {
    yield piece;
    await setImmediate();
  }
}
