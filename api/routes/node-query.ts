import Type from 'typebox';
import { InvalidQueryError } from '../errors.ts';
import { wrongValue } from '../schema/violation.ts';

/** A query is text: the id of a memory node. */
export const NodeIdSchema = Type.Optional(
  Type.String({
    title: 'a node id such as 0',
    pattern: '^(0|[1-9][0-9]{0,3})$',
    description: 'Only this node.',
  }),
);

/** Throws InvalidQueryError, which lists the nodes there are, when the id that was asked for is none of theirs. */
export function requireKnownNode(nodeId: string | undefined, known: readonly number[]): void {
  if (nodeId === undefined || known.includes(Number(nodeId))) return;
  const ids = [...new Set(known)].sort((a, b) => a - b).join(', ');
  throw new InvalidQueryError([wrongValue(['nodeId'], nodeId, `the id of a memory node: ${ids}`)]);
}
