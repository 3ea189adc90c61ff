import { Readable } from 'node:stream';
import { setImmediate } from 'node:timers/promises';
import type { FastifyReply } from 'fastify';

/**
 * Sends a long answer piece by piece. Between two pieces the event loop has its turn, so that ten thousand regions delay
 * neither the control loop nor another client.
 */
export function sendStream(reply: FastifyReply, mediaType: string, pieces: Iterable<string>): void {
  reply.type(`${mediaType}; charset=utf-8`).send(Readable.from(inTurns(pieces)));
}

async function* inTurns(pieces: Iterable<string>): AsyncGenerator<string> {
  for (const piece of pieces) {
    yield piece;
    await setImmediate();
  }
}
