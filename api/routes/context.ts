import type { IncomingMessage, ServerResponse } from 'node:http';
import type { TypeBoxTypeProvider } from '@fastify/type-provider-typebox';
import type { FastifyBaseLogger, FastifyInstance, RawServerDefault } from 'fastify';
import Type from 'typebox';
import type { TieringService } from '../../tiering/service.ts';
import type { Host } from '../host.ts';
import type { Exposition } from '../metrics/exposition.ts';
import type { OperatorSettings } from '../policy/operator-settings.ts';
import { ProblemSchema } from '../problem.ts';
import { DEFAULT_COLUMNS } from '../text/columns.ts';

/** fastify, with types that follow from the schemas. */
export type Api = FastifyInstance<
  RawServerDefault,
  IncomingMessage,
  ServerResponse,
  FastifyBaseLogger,
  TypeBoxTypeProvider
>;

declare module 'fastify' {
  interface FastifyContextConfig {
    /** Answers for as long as the client likes: how long that took says nothing. */
    readonly isEndless?: boolean;
  }
}

/** What the routes answer from. */
export interface ApiContext {
  readonly service: TieringService;
  /** Through which the policy is changed. */
  readonly settings: OperatorSettings;
  readonly version: string;
  readonly host: Host;
  readonly exposition: Exposition;
  /** The clock of the snapshots' `takenAtMs`. */
  nowMs(): number;
}

/** The query of resources that also answer as text. */
export const TEXT_QUERY = {
  format: Type.Optional(
    Type.Union([Type.Literal('json'), Type.Literal('text')], { description: 'Goes before the Accept header.' }),
  ),
  columns: Type.Optional(
    Type.String({
      title: `a whole number from ${DEFAULT_COLUMNS} to 500`,
      pattern: '^([1-4][0-9]{2}|500)$',
      description: `Width of the text, ${DEFAULT_COLUMNS} by default.`,
    }),
  ),
};

/** How wide a text may be, in characters. */
export function columnsOf({ columns }: { readonly columns?: string }): number {
  return columns === undefined ? DEFAULT_COLUMNS : Number(columns);
}

export const NoQuerySchema = Type.Object({}, { additionalProperties: false });

/** The same for a change, which may be pending. */
export function changeResponses<S>(ok: S) {
  return { ...responses(ok), 202: ok };
}

/** Response schemas of a resource: the given one for 200, problem details for everything else. */
export function responses<S>(ok: S): { 200: S; '4xx': typeof ProblemSchema; '5xx': typeof ProblemSchema } {
  return { 200: ok, '4xx': ProblemSchema, '5xx': ProblemSchema };
}
