import Type from 'typebox';
import { chooseRepresentation } from '../content.ts';
import { topologyText } from '../text/topology-text.ts';
import { TopologySchema, topologyView } from '../views/topology-view.ts';
import type { Api, ApiContext } from './context.ts';
import { columnsOf, responses, TEXT_QUERY } from './context.ts';
import { sendText } from './send-text.ts';

const QuerySchema = Type.Object({ ...TEXT_QUERY }, { additionalProperties: false });

/** GET /v1/topology: memory nodes, tiers, CXL devices and migration paths. */
export function topologyRoute(api: Api, { service }: ApiContext): void {
  const schema = { querystring: QuerySchema, response: responses(TopologySchema) };
  api.get('/v1/topology', { schema }, (request, reply) => {
    const topology = topologyView(service.topology());
    const wanted = chooseRepresentation(request.query.format, request.headers.accept);
    if (wanted === 'text') sendText(reply, topologyText(topology, columnsOf(request.query)));
    else reply.send(topology);
  });
}
