import type { FastifyReply } from 'fastify';

/** Of an answer to a change that holds, but not as well as it should. */
export const WARNING_HEADER = 'tierd-warning';

/** Says in the answer to a change when it is in force but could not be saved, or does not do what it seems to. */
export function warnOfChange(
  reply: FastifyReply,
  { saveProblem }: { readonly saveProblem?: string | undefined },
  scopeProblem: string | undefined,
): void {
  const warnings = [
    ...(saveProblem === undefined ? [] : [`in force, but not saved: ${saveProblem}; it is tried again`]),
    ...(scopeProblem === undefined ? [] : [scopeProblem]),
  ];
  if (warnings.length === 0) return;
  // What a header may hold (RFC 9110, 5.5), of messages that may name a file.
  reply.header(WARNING_HEADER, warnings.join('; ').replaceAll(/[^\x20-\x7e]/g, '?'));
}
