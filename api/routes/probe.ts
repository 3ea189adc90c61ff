import Type from 'typebox';
import { chooseRepresentation } from '../content.ts';
import { probeText } from '../text/probe-text.ts';
import { ProbeSchema } from '../views/probe-view.ts';
import type { Api, ApiContext } from './context.ts';
import { columnsOf, responses, TEXT_QUERY } from './context.ts';
import { sendText } from './send-text.ts';

const QuerySchema = Type.Object({ ...TEXT_QUERY }, { additionalProperties: false });

/** POST /v1/probe: measures all memory nodes, and answers when that is done; it takes no body. */
export function probeRoute(api: Api, { service }: ApiContext): void {
  const schema = { querystring: QuerySchema, response: responses(ProbeSchema) };
  api.post('/v1/probe', { schema }, async (request, reply) => {
    const report = await service.probe();
    const wanted = chooseRepresentation(request.query.format, request.headers.accept);
    if (wanted === 'text') sendText(reply, probeText(report, columnsOf(request.query)));
    else reply.send(report);
    return reply;
  });
}
