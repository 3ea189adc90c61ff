import Type from 'typebox';
import { chooseRepresentation } from '../content.ts';
import { OPERATIONS } from '../openapi/operations.ts';
import { openApiText } from '../text/openapi-text.ts';
import type { Api } from './context.ts';
import { columnsOf, responses, TEXT_QUERY } from './context.ts';
import { sendText } from './send-text.ts';

const QuerySchema = Type.Object({ ...TEXT_QUERY }, { additionalProperties: false });
const DocumentSchema = Type.Object({ openapi: Type.String() }, { description: 'An OpenAPI 3.1 document.' });

/** GET /openapi.json: this API for programs that make clients of it; as text its operations in a line each. */
export function openApiRoute(api: Api): void {
  const schema = { querystring: QuerySchema, response: responses(DocumentSchema) };
  api.get('/openapi.json', { schema }, (request, reply) => {
    const wanted = chooseRepresentation(request.query.format, request.headers.accept);
    if (wanted === 'text') sendText(reply, openApiText(OPERATIONS, columnsOf(request.query)));
    else {
      reply
        .type('application/json')
        .serializer(JSON.stringify)
        .send({ openapi: '3.1.0', ...api.swagger() });
    }
  });
}
