import type { Socket } from 'node:net';
import rateLimit from '@fastify/rate-limit';
import swagger from '@fastify/swagger';
import type { FastifyBaseLogger, FastifyReply, FastifyRequest } from 'fastify';
import { fastify, LogController } from 'fastify';
import type { TSchema } from 'typebox';
import type { TieringService } from '../tiering/service.ts';
import {
  BadHttpError,
  DuplicateKeyError,
  errorCode,
  InvalidQueryError,
  MediaTypeError,
  MethodNotAllowedError,
  NotFoundError,
  TooManyWritesError,
} from './errors.ts';
import { allowReadsOnly, requireToken } from './guard.ts';
import type { Host } from './host.ts';
import { readHost } from './host.ts';
import { Exposition } from './metrics/exposition.ts';
import { documentOptions } from './openapi/document.ts';
import type { OperatorSettings } from './policy/operator-settings.ts';
import { PROBLEM_MEDIA_TYPE, problemOf } from './problem.ts';
import type { Api, ApiContext } from './routes/context.ts';
import { diagnosisRoute } from './routes/diagnosis.ts';
import { eventsRoute } from './routes/events.ts';
import { historyRoute } from './routes/history.ts';
import { indexRoute } from './routes/index.ts';
import { interleaveRoutes } from './routes/interleave.ts';
import { metricsRoute } from './routes/metrics.ts';
import { migrationRoutes } from './routes/migrations.ts';
import { openApiRoute } from './routes/openapi.ts';
import { pauseRoutes } from './routes/pause.ts';
import { policyRoutes } from './routes/policy.ts';
import { probeRoute } from './routes/probe.ts';
import { schemesRoute } from './routes/schemes.ts';
import { snapshotRoute } from './routes/snapshot.ts';
import { statusRoute } from './routes/status.ts';
import { surveyRoutes } from './routes/surveys.ts';
import { topologyRoute } from './routes/topology.ts';
import { compileCheck } from './schema/check.ts';
import { duplicateKey } from './schema/duplicate-key.ts';

export interface AppOptions {
  readonly service: TieringService;
  readonly settings: OperatorSettings;
  readonly logger: FastifyBaseLogger;
  readonly version: string;
  readonly host?: Host;
  readonly nowMs?: () => number;
  /** Asked for in every request; without one the socket's mode decides who may ask. */
  readonly token?: string;
  /** Answers GET and HEAD, and refuses all else with 403. */
  readonly isReadOnly?: boolean;
  /** What counts the requests; one for all ways into a daemon. */
  readonly exposition?: Exposition;
  readonly maxWritesPerMinute?: number;
}

const ROUTES = [
  indexRoute,
  statusRoute,
  topologyRoute,
  policyRoutes,
  pauseRoutes,
  schemesRoute,
  snapshotRoute,
  historyRoute,
  surveyRoutes,
  eventsRoute,
  migrationRoutes,
  probeRoute,
  diagnosisRoute,
  interleaveRoutes,
  metricsRoute,
  openApiRoute,
];

/** JSON and JSON merge patch (RFC 7396). */
const BODY_MEDIA_TYPES = ['application/json', 'application/merge-patch+json'];

/** Methods of operations that may have no body. */
const BODILESS = new Set(['POST', 'DELETE']);

/** The largest policy the schema allows fits. */
const BODY_LIMIT_BYTES = 1024 * 1024;

/** Each change waits for the kernel; a program that sends more has gone wrong. */
const MAX_WRITES_PER_MINUTE = 600;
/** Anybody on this machine may connect to the TCP port: it must leave descriptors for those who may open the socket. */
const MAX_TCP_CONNECTIONS = 64;
const MAX_SOCKET_CONNECTIONS = 512;
const READS = new Set(['GET', 'HEAD', 'OPTIONS']);

/** A client on the same machine that needs longer to send a request is not sending one. */
const REQUEST_TIMEOUT_MS = 10_000;
/** Also for a connection that says nothing at all. */
const HEAD_TIMEOUT_MS = 5_000;

/** The REST API as an application without a socket: tests inject requests, the daemon listens. */
export function buildApp({
  service,
  settings,
  logger,
  version,
  host = readHost(),
  nowMs = monotonicMs,
  token,
  isReadOnly = false,
  exposition = new Exposition(),
  maxWritesPerMinute = MAX_WRITES_PER_MINUTE,
}: AppOptions): Api {
  const app: Api = fastify({
    loggerInstance: logger,
    logController: new LogController({ disableRequestLogging: true }),
    bodyLimit: BODY_LIMIT_BYTES,
    requestTimeout: REQUEST_TIMEOUT_MS,
    keepAliveTimeout: REQUEST_TIMEOUT_MS,
    // Node looks for late requests every 30 s by default, and gives their heads a minute.
    http: { headersTimeout: HEAD_TIMEOUT_MS, connectionsCheckingInterval: 1_000 },
    routerOptions: { ignoreTrailingSlash: true },
    // Idle keep-alive connections must not hold up the end of the daemon.
    forceCloseConnections: true,
    // The types hold what handlers return to the schemas; a compiled serializer for each route and status takes 18 MiB.
    schemaController: { compilersFactory: { buildSerializer: () => () => JSON.stringify } },
    frameworkErrors: (error, request, reply) => sendProblem(error, request, reply),
    clientErrorHandler: (_error, socket) => refuseConnection(socket),
  });

  if (isReadOnly) allowReadsOnly(app);
  readJsonOnly(app);
  checkWithoutChanging(app);
  answerWithProblems(app);
  app.addHook('onRequest', async (_request, reply) => {
    reply.header('cache-control', 'no-store');
  });

  app.server.maxConnections = token === undefined ? MAX_SOCKET_CONNECTIONS : MAX_TCP_CONNECTIONS;

  const context: ApiContext = { service, settings, version, host, nowMs, exposition };
  if (token !== undefined) requireToken(app, token);
  app.register(rateLimit, {
    max: maxWritesPerMinute,
    timeWindow: '1 minute',
    // All clients together: on a Unix socket they have no address.
    keyGenerator: () => 'writes',
    allowList: ({ method }) => READS.has(method),
    addHeadersOnExceeding: { 'x-ratelimit-limit': false, 'x-ratelimit-remaining': false, 'x-ratelimit-reset': false },
    errorResponseBuilder: (_request, { max, ttl }) => new TooManyWritesError(max, Math.ceil(ttl / 1000)),
  });
  app.register(swagger, documentOptions(version));
  // As a plugin: swagger sees the routes that are declared once it is there.
  app.register((routes, _options, done) => {
    for (const route of ROUTES) route(routes, context);
    done();
  });
  return app;
}

/** CLOCK_MONOTONIC, as in the engine's snapshots. */
function monotonicMs(): number {
  return Number(process.hrtime.bigint()) / 1e6;
}

/** Bodies are JSON or refused with 415; keys that would reach an object's prototype are refused with 400. */
function readJsonOnly(app: Api): void {
  const parse = app.getDefaultJsonParser('error', 'error');
  app.removeAllContentTypeParsers();
  app.addContentTypeParser<string>(BODY_MEDIA_TYPES, { parseAs: 'string' }, (request, text, done) => {
    // Clients that always name a type do so for orders that have no body, too.
    if (text === '' && BODILESS.has(request.method)) {
      done(null, undefined);
      return;
    }
    void parse(request, text, (error, value) => {
      const twice = error === null ? duplicateKey(text) : undefined;
      if (twice === undefined) done(error, value);
      else done(new DuplicateKeyError(twice));
    });
  });
}

/** Validates with our own messages, and without what fastify would convert, remove or fill in. */
function checkWithoutChanging(app: Api): void {
  app.setValidatorCompiler<TSchema>(({ schema }) => {
    const check = compileCheck(schema);
    return (data: unknown) => {
      const checked = check(data);
      return checked.ok ? { value: checked.value } : { error: new InvalidQueryError(checked.violations) };
    };
  });
}

function answerWithProblems(app: Api): void {
  const methodsByPath = new Map<string, string[]>();
  app.addHook('onRoute', ({ url, method }) => {
    methodsByPath.set(url, [...(methodsByPath.get(url) ?? []), ...[method].flat()]);
  });
  const refuse = (request: FastifyRequest): Error => {
    const path = request.url.replace(/[?#].*$/s, '').replace(/(?<=.)\/$/, '');
    const pattern = [...methodsByPath.keys()].find((candidate) => matches(candidate, path));
    const methods = pattern === undefined ? undefined : methodsByPath.get(pattern);
    return methods === undefined ? new NotFoundError(path) : new MethodNotAllowedError(request.method, path, methods);
  };
  // Before the body is read: what is sent to nowhere need not be JSON.
  app.addHook('onRequest', async (request) => {
    if (request.is404) throw refuse(request);
  });
  app.setErrorHandler((error, request, reply) => {
    const isMediaType = errorCode(error) === 'TIERD_MEDIA_TYPE';
    sendProblem(
      isMediaType ? new MediaTypeError(request.headers['content-type'], BODY_MEDIA_TYPES) : error,
      request,
      reply,
    );
  });
}

/** True when a path is one of a route's, whose `:id` stands for any one step. */
function matches(route: string, path: string): boolean {
  const [wanted, steps] = [route.split('/'), path.split('/')];
  return wanted.length === steps.length && wanted.every((step, index) => step.startsWith(':') || step === steps[index]);
}

function sendProblem(error: unknown, request: FastifyRequest, reply: FastifyReply): void {
  const problem = problemOf(error);
  if (problem.status >= 500)
    request.log.error({ err: error, method: request.method, url: request.url }, 'request failed');
  if (error instanceof MethodNotAllowedError) reply.header('allow', error.allowedMethods.join(', '));
  if (problem.status === 415) reply.header(`accept-${request.method.toLowerCase()}`, BODY_MEDIA_TYPES.join(', '));
  // Serialized here: the type of a framework error's reply knows no schema.
  reply.code(problem.status).type(PROBLEM_MEDIA_TYPE).send(JSON.stringify(problem));
}

/** Bytes that are no HTTP request never reach the application. */
function refuseConnection(socket: Socket): void {
  if (!socket.writable) {
    socket.destroy();
    return;
  }
  const body = JSON.stringify(problemOf(new BadHttpError()));
  socket.end(
    `HTTP/1.1 400 Bad Request\r\nContent-Type: ${PROBLEM_MEDIA_TYPE}\r\nContent-Length: ${Buffer.byteLength(body)}\r\nConnection: close\r\n\r\n${body}`,
  );
}
