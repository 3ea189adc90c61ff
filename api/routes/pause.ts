import Type from 'typebox';
import { warnOfChange } from '../warning-header.ts';
import type { Api, ApiContext } from './context.ts';
import { NoQuerySchema, responses } from './context.ts';

const PausedSchema = Type.Object({
  paused: Type.Boolean(),
  pausedSince: Type.Optional(Type.String({ description: 'ISO 8601.' })),
});

/** POST /v1/pause and /v1/resume: nothing is promoted or demoted in between, also after a restart. Asking twice is no error. */
export function pauseRoutes(api: Api, { service, settings }: ApiContext): void {
  const schema = { querystring: NoQuerySchema, response: responses(PausedSchema) };
  const answer = () => {
    const since = service.pausedSince();
    return { paused: since !== undefined, ...(since && { pausedSince: since.toISOString() }) };
  };
  // Whoever has to stop it is never told to wait.
  api.post('/v1/pause', { schema, config: { rateLimit: false } }, async (_request, reply) => {
    await settings.pause();
    warnOfChange(reply, settings, undefined);
    return answer();
  });
  api.post('/v1/resume', { schema }, async (_request, reply) => {
    await settings.resume();
    warnOfChange(reply, settings, undefined);
    return answer();
  });
}
