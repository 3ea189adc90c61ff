import type { FastifyReply } from 'fastify';

/** Answers with text for a terminal in place of the JSON that the response schema describes. */
export function sendText(reply: FastifyReply, text: string): void {
  reply.type('text/plain; charset=utf-8').send(text);
}
