import type { FastifyReply } from 'fastify';
import type { OperatorSettings } from './policy/operator-settings.ts';

/** Of an answer to a change that holds, but not as well as it should. */
export const WARNING_HEADER = 'tierd-warning';

/** Says in the answer to a change when it is in force but could not be saved. */
export function warnWhenUnsaved(reply: FastifyReply, settings: OperatorSettings): void {
  const reason = settings.saveProblem;
  if (reason === undefined) return;
  // What a header may hold (RFC 9110, 5.5), of a message that may name a file.
  const printable = reason.replaceAll(/[^\x20-\x7e]/g, '?');
  reply.header(WARNING_HEADER, `in force, but not saved: ${printable}; it is tried again`);
}
