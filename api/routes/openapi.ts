import Type from 'typebox';
import type { Api } from './context.ts';
import { NoQuerySchema, responses } from './context.ts';

const DocumentSchema = Type.Object({ openapi: Type.String() }, { description: 'An OpenAPI 3.1 document.' });

/** GET /openapi.json: this API for programs that make clients of it. */
export function openApiRoute(api: Api): void {
  const schema = { querystring: NoQuerySchema, response: responses(DocumentSchema) };
  api.get('/openapi.json', { schema }, (_request, reply) => {
    reply
      .type('application/json')
      .serializer(JSON.stringify)
      .send({ openapi: '3.1.0', ...api.swagger() });
  });
}
