import Type from 'typebox';
import { chooseRepresentation } from '../content.ts';
import { statusText } from '../text/status-text.ts';
import { StatusSchema, statusView } from '../views/status-view.ts';
import type { Api, ApiContext } from './context.ts';
import { columnsOf, responses, TEXT_QUERY } from './context.ts';
import { sendText } from './send-text.ts';

const QuerySchema = Type.Object({ ...TEXT_QUERY }, { additionalProperties: false });

/** GET /v1/status: what the daemon is doing, and why. */
export function statusRoute(api: Api, { service, settings, version, host }: ApiContext): void {
  const schema = { querystring: QuerySchema, response: responses(StatusSchema) };
  api.get('/v1/status', { schema }, (request, reply) => {
    const status = statusView(service, settings, version, host);
    const wanted = chooseRepresentation(request.query.format, request.headers.accept);
    if (wanted === 'text') sendText(reply, statusText(status, columnsOf(request.query)));
    else reply.send(status);
  });
}
