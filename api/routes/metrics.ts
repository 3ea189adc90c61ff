import Type from 'typebox';
import { processFigures } from '../metrics/exposition.ts';
import type { Api, ApiContext } from './context.ts';
import { responses } from './context.ts';

/** Text is all that there is, so that every GET takes the same parameter. */
const QuerySchema = Type.Object({ format: Type.Optional(Type.Literal('text')) }, { additionalProperties: false });

/** GET /metrics: for Prometheus, in its text format. */
export function metricsRoute(api: Api, { service, settings, version, nowMs, exposition }: ApiContext): void {
  api.addHook('onResponse', async ({ method, is404, routeOptions }, { statusCode, elapsedTime }) => {
    if (routeOptions.config.isEndless === true) return;
    const route = is404 ? 'none' : (routeOptions.url ?? 'none');
    exposition.answered(method, route, statusCode, elapsedTime);
  });
  const schema = { querystring: QuerySchema, response: responses(Type.String()) };
  api.get('/metrics', { schema }, async (_request, reply) => {
    const input = {
      service,
      version,
      nowMs: nowMs(),
      isSaved: settings.saveProblem === undefined,
      process: await processFigures(),
    };
    const text = await exposition.text(input);
    return reply.type(exposition.contentType).serializer(String).send(text);
  });
}
