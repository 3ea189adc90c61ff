import type { FastifyRequest } from 'fastify';
import Type from 'typebox';
import { MigrationTargetError } from '../../tiering/jobs/errors.ts';
import type { MigrationJob } from '../../tiering/jobs/migration-job.ts';
import { chooseRepresentation } from '../content.ts';
import { InvalidMigrationError, NotFoundError } from '../errors.ts';
import { migrationOrder } from '../migration-check.ts';
import { wrongValue } from '../schema/violation.ts';
import { migrationsText, migrationText } from '../text/migrations-text.ts';
import { MigrationSchema, MigrationsSchema } from '../views/migration-view.ts';
import type { Api, ApiContext } from './context.ts';
import { columnsOf, NoQuerySchema, responses, TEXT_QUERY } from './context.ts';
import { sendText } from './send-text.ts';

const FormatQuerySchema = Type.Object({ ...TEXT_QUERY }, { additionalProperties: false });
const ParamsSchema = Type.Object({ id: Type.String() });

/**
 * GET and POST /v1/migrations, GET and DELETE /v1/migrations/ID: one-shot migrations of a process or cgroup. The body has no
 * schema here, so that what is wrong with it is answered with 422, like a policy.
 */
export function migrationRoutes(api: Api, { service }: ApiContext): void {
  const { migrations } = service;

  const list = { querystring: FormatQuerySchema, response: responses(MigrationsSchema) };
  api.get('/v1/migrations', { schema: list }, (request, reply) => {
    const jobs = migrations.list();
    if (wantsText(request.query.format, request)) sendText(reply, migrationsText(jobs, columnsOf(request.query)));
    else reply.send({ migrations: jobs });
  });

  const { 200: made, ...problems } = responses(MigrationSchema);
  const created = { querystring: NoQuerySchema, response: { 201: made, ...problems } };
  api.post('/v1/migrations', { schema: created }, async (request, reply) => {
    const order = migrationOrder(request.body, service.topology(), service.policy());
    const job = await migrations.create(order).catch((error: unknown) => Promise.reject(namingTheKey(error)));
    return reply.code(201).header('location', `/v1/migrations/${job.id}`).send(job);
  });

  const read = { params: ParamsSchema, querystring: FormatQuerySchema, response: responses(MigrationSchema) };
  api.get('/v1/migrations/:id', { schema: read }, (request, reply) => {
    const job = found(migrations.get(idOf(request.params)), request);
    if (wantsText(request.query.format, request)) sendText(reply, migrationText(job, columnsOf(request.query)));
    else reply.send(job);
  });

  const ended = { params: ParamsSchema, querystring: NoQuerySchema, response: responses(MigrationSchema) };
  api.delete('/v1/migrations/:id', { schema: ended }, async (request) =>
    found(await migrations.cancel(idOf(request.params)), request),
  );
}

function wantsText(format: 'json' | 'text' | undefined, { headers }: Pick<FastifyRequest, 'headers'>): boolean {
  return chooseRepresentation(format, headers.accept) === 'text';
}

/** As the API writes it: what else JavaScript takes for the same number (`0x1`, `1e0`) names none. */
function idOf({ id }: { readonly id: string }): number {
  return /^[1-9]\d{0,15}$/.test(id) ? Number(id) : Number.NaN;
}

function found(job: MigrationJob | undefined, { url }: Pick<FastifyRequest, 'url'>): MigrationJob {
  if (job === undefined) throw new NotFoundError(url.replace(/\?.*$/s, ''));
  return job;
}

function namingTheKey(error: unknown): unknown {
  if (!(error instanceof MigrationTargetError)) return error;
  return new InvalidMigrationError([wrongValue([error.key], error.value, error.allowed)]);
}
