import type { FastifyReply } from 'fastify';

/** Of an answer to a change that holds, but not as well as it should. */
export const WARNING_HEADER = 'tierd-warning';

const PENDING = 'pending: something else is under way; the log says when it is refused';

/** Says that a change is not in force yet on any node. */
export function warnOfWait(reply: FastifyReply): void {
  reply.code(202).header(WARNING_HEADER, PENDING);
}

/** Says in the answer to a change when it is in force but could not be saved, does not do what it seems to, or waits for a kdamond: that is 202. */
export function warnOfChange(
  reply: FastifyReply,
  {
    saveProblem,
    pendingNodeIds = [],
  }: { readonly saveProblem?: string | undefined; readonly pendingNodeIds?: readonly number[] },
  scopeProblem: string | undefined,
): void {
  const warnings = [
    ...(pendingNodeIds.length === 0
      ? []
      : [
          `pending on node ${pendingNodeIds.join(', ')}, whose kdamond takes no change now; it is told as soon as it does`,
        ]),
    ...(saveProblem === undefined ? [] : [`in force, but not saved: ${saveProblem}; it is tried again`]),
    ...(scopeProblem === undefined ? [] : [scopeProblem]),
  ];
  if (pendingNodeIds.length > 0) reply.code(202);
  if (warnings.length === 0) return;
  // What a header may hold (RFC 9110, 5.5), of messages that may name a file.
  reply.header(WARNING_HEADER, warnings.join('; ').replaceAll(/[^\x20-\x7e]/g, '?'));
}
