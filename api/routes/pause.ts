import type { FastifyReply } from 'fastify';
import Type from 'typebox';
import { warnOfChange, warnOfWait } from '../warning-header.ts';
import type { Api, ApiContext } from './context.ts';
import { changeResponses, NoQuerySchema } from './context.ts';

const PausedSchema = Type.Object({
  paused: Type.Boolean(),
  pending: Type.Optional(
    Type.Boolean({
      description: 'Not all kdamonds have been told: it holds as soon as they answer. The status is 202.',
    }),
  ),
  pausedSince: Type.Optional(Type.String({ description: 'ISO 8601.' })),
});

/** POST /v1/pause and /v1/resume: nothing is promoted or demoted in between, also after a restart. Asking twice is no error. */
export function pauseRoutes(api: Api, { service, settings }: ApiContext): void {
  const schema = { querystring: NoQuerySchema, response: changeResponses(PausedSchema) };
  const answer = async (reply: FastifyReply, change: Promise<void>) => {
    const isDone = await settings.soon(change.then(() => true));
    if (isDone === true) warnOfChange(reply, settings, undefined);
    else warnOfWait(reply);
    const since = service.pausedSince();
    return {
      paused: since !== undefined,
      ...(since && { pausedSince: since.toISOString() }),
      ...(reply.statusCode === 202 && { pending: true }),
    };
  };
  // Whoever has to stop it is never told to wait.
  api.post('/v1/pause', { schema, config: { rateLimit: false } }, async (_request, reply) => {
    return answer(reply, settings.pause());
  });
  api.post('/v1/resume', { schema }, async (_request, reply) => {
    const resuming = settings.resume();
    // Whether DAMON can be taken again is what is asked for.
    if (service.status().state === 'aside') await resuming;
    return answer(reply, resuming);
  });
}
