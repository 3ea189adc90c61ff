import Type from 'typebox';
import { InterleaveNodeError } from '../../tiering/interleave/errors.ts';
import { chooseRepresentation } from '../content.ts';
import { InvalidInterleaveError } from '../errors.ts';
import { interleaveOrder } from '../interleave-check.ts';
import { wrongValue } from '../schema/violation.ts';
import { interleaveText } from '../text/interleave-text.ts';
import { InterleaveSchema } from '../views/interleave-view.ts';
import type { Api, ApiContext } from './context.ts';
import { columnsOf, responses, TEXT_QUERY } from './context.ts';
import { sendText } from './send-text.ts';

const QuerySchema = Type.Object({ ...TEXT_QUERY }, { additionalProperties: false });

/** GET and PATCH /v1/interleave: the weights of weighted interleaving, and what the nodes' bandwidths recommend. */
export function interleaveRoutes(api: Api, { service }: ApiContext): void {
  const schema = { querystring: QuerySchema, response: responses(InterleaveSchema) };
  api.get('/v1/interleave', { schema }, async (request, reply) => {
    const state = await service.interleave.read();
    const wanted = chooseRepresentation(request.query.format, request.headers.accept);
    if (wanted === 'text') sendText(reply, interleaveText(state, columnsOf(request.query)));
    else reply.send(state);
    return reply;
  });
  api.patch('/v1/interleave', { schema }, async (request, reply) => {
    const order = interleaveOrder(request.body);
    const state = await service.interleave.set(order).catch((error: unknown) => Promise.reject(namingTheKey(error)));
    const wanted = chooseRepresentation(request.query.format, request.headers.accept);
    if (wanted === 'text') sendText(reply, interleaveText(state, columnsOf(request.query)));
    else reply.send(state);
    return reply;
  });
}

function namingTheKey(error: unknown): unknown {
  if (!(error instanceof InterleaveNodeError)) return error;
  return new InvalidInterleaveError([wrongValue(['weights'], error.nodeId, error.allowed)]);
}
