import type { IncomingMessage, ServerResponse } from 'node:http';
import type { TypeBoxTypeProvider } from '@fastify/type-provider-typebox';
import type { FastifyBaseLogger, FastifyInstance, RawServerDefault } from 'fastify';
import Type from 'typebox';
import type { TieringService } from '../../tiering/service.ts';
import type { Host } from '../host.ts';
import type { OperatorSettings } from '../policy/operator-settings.ts';
import { ProblemSchema } from '../problem.ts';

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
  /** The clock of the snapshots' `takenAtMs`. */
  nowMs(): number;
}

/** `?format=` of resources that also answer as text. */
export const FormatSchema = Type.Optional(Type.Union([Type.Literal('json'), Type.Literal('text')]));

export const NoQuerySchema = Type.Object({}, { additionalProperties: false });

/** Response schemas of a resource: the given one for 200, problem details for everything else. */
export function responses<S>(ok: S): { 200: S; '4xx': typeof ProblemSchema; '5xx': typeof ProblemSchema } {
  return { 200: ok, '4xx': ProblemSchema, '5xx': ProblemSchema };
}
