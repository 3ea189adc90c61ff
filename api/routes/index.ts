import Type from 'typebox';
import { chooseRepresentation } from '../content.ts';
import { indexText } from '../text/index-text.ts';
import { IndexSchema, indexView } from '../views/index-view.ts';
import type { Api, ApiContext } from './context.ts';
import { columnsOf, responses, TEXT_QUERY } from './context.ts';
import { sendText } from './send-text.ts';

const QuerySchema = Type.Object({ ...TEXT_QUERY }, { additionalProperties: false });

/** GET /: what answers here, and where to go on. */
export function indexRoute(api: Api, { version }: ApiContext): void {
  const schema = { querystring: QuerySchema, response: responses(IndexSchema) };
  api.get('/', { schema }, (request, reply) => {
    const index = indexView(version);
    const wanted = chooseRepresentation(request.query.format, request.headers.accept);
    if (wanted === 'text') sendText(reply, indexText(index, columnsOf(request.query)));
    else reply.send(index);
  });
}
