import type { FastifyRequest } from 'fastify';
import Type from 'typebox';
import { chooseRepresentation } from '../content.ts';
import { cgroupsText, processesText } from '../text/survey-text.ts';
import { CgroupsSchema, cgroupsView, ProcessesSchema, processesView } from '../views/survey-views.ts';
import type { Api, ApiContext } from './context.ts';
import { columnsOf, responses, TEXT_QUERY } from './context.ts';
import { sendText } from './send-text.ts';

const DEFAULT_LIMIT = 50;

const QuerySchema = Type.Object(
  {
    ...TEXT_QUERY,
    limit: Type.Optional(
      Type.String({
        title: 'a whole number from 1 to 1000',
        pattern: '^([1-9][0-9]{0,2}|1000)$',
        description: `Most shown, ${DEFAULT_LIMIT} by default.`,
      }),
    ),
  },
  { additionalProperties: false },
);

/** GET /v1/processes and GET /v1/cgroups: who has memory on which node, and hot memory on slow nodes. */
export function surveyRoutes(api: Api, { service, nowMs }: ApiContext): void {
  const limitOf = ({ limit }: { readonly limit?: string }) => (limit === undefined ? DEFAULT_LIMIT : Number(limit));

  const processes = { querystring: QuerySchema, response: responses(ProcessesSchema) };
  api.get('/v1/processes', { schema: processes }, async (request, reply) => {
    const survey = await service.processes();
    const body = processesView(survey, { nowMs: nowMs(), limit: limitOf(request.query) });
    if (wantsText(request.query.format, request)) sendText(reply, processesText(body, columnsOf(request.query)));
    else reply.send(body);
    return reply;
  });

  const cgroups = { querystring: QuerySchema, response: responses(CgroupsSchema) };
  api.get('/v1/cgroups', { schema: cgroups }, async (request, reply) => {
    const survey = await service.cgroups();
    const body = cgroupsView(survey, { nowMs: nowMs(), limit: limitOf(request.query) });
    if (wantsText(request.query.format, request)) sendText(reply, cgroupsText(body, columnsOf(request.query)));
    else reply.send(body);
    return reply;
  });
}

function wantsText(format: 'json' | 'text' | undefined, { headers }: Pick<FastifyRequest, 'headers'>): boolean {
  return chooseRepresentation(format, headers.accept) === 'text';
}
