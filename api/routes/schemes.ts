import Type from 'typebox';
import { chooseRepresentation } from '../content.ts';
import { schemesText } from '../text/schemes-text.ts';
import { SchemesSchema, schemesView } from '../views/schemes-view.ts';
import type { Api, ApiContext } from './context.ts';
import { columnsOf, responses, TEXT_QUERY } from './context.ts';
import { sendText } from './send-text.ts';

const QuerySchema = Type.Object({ ...TEXT_QUERY }, { additionalProperties: false });

/** GET /v1/schemes: the kdamonds and schemes that tierd runs, with their statistics. */
export function schemesRoute(api: Api, { service }: ApiContext): void {
  const schema = { querystring: QuerySchema, response: responses(SchemesSchema) };
  api.get('/v1/schemes', { schema }, (request, reply) => {
    const schemes = schemesView(service.schemes());
    const wanted = chooseRepresentation(request.query.format, request.headers.accept);
    if (wanted === 'text') sendText(reply, schemesText(schemes, columnsOf(request.query)));
    else reply.send(schemes);
  });
}
