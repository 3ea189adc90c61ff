import type { Violation } from './schema/violation.ts';
import { formatViolation } from './schema/violation.ts';

/** PATCH /v1/policy would give a policy that is not allowed; nothing was changed. */
export class InvalidPolicyError extends Error {
  readonly code = 'TIERD_POLICY_INVALID';
  readonly violations: readonly Violation[];

  constructor(violations: readonly Violation[]) {
    super(violations.map(formatViolation).join('; '));
    this.name = 'InvalidPolicyError';
    this.violations = violations;
  }
}

/** The command line holds these keys; nothing was changed. */
export class OverruledError extends Error {
  readonly code = 'TIERD_POLICY_OVERRULED';

  constructor(keys: readonly string[]) {
    super(`the command line of tierd sets ${keys.join(', ')}, and nothing else can: start it without that option`);
    this.name = 'OverruledError';
  }
}

/** If-Match names another state of the policy than the one in force; nothing was changed. */
export class ChangedMeanwhileError extends Error {
  readonly code = 'TIERD_POLICY_CHANGED';

  constructor() {
    super('the policy has changed since: get it again, and send If-Match with its new ETag');
    this.name = 'ChangedMeanwhileError';
  }
}

/** If-None-Match names the state of the policy that is in force; nothing was changed. */
export class UnchangedError extends Error {
  readonly code = 'TIERD_POLICY_UNCHANGED';

  constructor() {
    super(
      'the policy has an ETag that If-None-Match excludes ("*" excludes every one): leave the header out, or send If-Match',
    );
    this.name = 'UnchangedError';
  }
}

/** A request over TCP without the token, or with another. */
export class UnauthorizedError extends Error {
  readonly code = 'TIERD_UNAUTHORIZED';

  constructor(hasToken: boolean) {
    super(hasToken ? 'this is not the token' : 'send the token of api.tokenFile as "Authorization: Bearer TOKEN"');
    this.name = 'UnauthorizedError';
  }
}

/** A request over TCP to a name that is not a loopback one. */
export class HostNotAllowedError extends Error {
  readonly code = 'TIERD_HOST_NOT_ALLOWED';

  constructor(host: string | undefined) {
    super(
      `${host === undefined ? 'no host' : JSON.stringify(host.slice(0, 100))} is not a loopback name: ask localhost or 127.0.0.1`,
    );
    this.name = 'HostNotAllowedError';
  }
}

/** A change, asked for where the API only lets read. */
export class ReadOnlyError extends Error {
  readonly code = 'TIERD_READ_ONLY';

  constructor(method: string) {
    super(`this socket answers GET and HEAD only, not ${method}: changes go over api.socket, for root and its group`);
    this.name = 'ReadOnlyError';
  }
}

/** More changes a minute than anybody can mean. */
export class TooManyWritesError extends Error {
  readonly code = 'TIERD_TOO_MANY_WRITES';
  /** For the plugin that throws it. */
  readonly statusCode = 429;

  constructor(perMinute: number, waitSeconds: number) {
    super(`more than ${perMinute} changes a minute: wait ${waitSeconds} s`);
    this.name = 'TooManyWritesError';
  }
}

/** POST /v1/migrations asks for what is not possible here; nothing was begun. */
export class InvalidMigrationError extends Error {
  readonly code = 'TIERD_MIGRATION_INVALID';
  readonly violations: readonly Violation[];

  constructor(violations: readonly Violation[]) {
    super(violations.map(formatViolation).join('; '));
    this.name = 'InvalidMigrationError';
    this.violations = violations;
  }
}

/** PATCH /v1/interleave asks for what is not possible here; nothing was changed. */
export class InvalidInterleaveError extends Error {
  readonly code = 'TIERD_INTERLEAVE_INVALID';
  readonly violations: readonly Violation[];

  constructor(violations: readonly Violation[]) {
    super(violations.map(formatViolation).join('; '));
    this.name = 'InvalidInterleaveError';
    this.violations = violations;
  }
}

/** A query parameter is not known, or its value is not allowed. */
export class InvalidQueryError extends Error {
  readonly code = 'TIERD_BAD_REQUEST';
  readonly violations: readonly Violation[];

  constructor(violations: readonly Violation[]) {
    super(violations.map(formatViolation).join('; '));
    this.name = 'InvalidQueryError';
    this.violations = violations;
  }
}

/** A body's object has a key twice. */
export class DuplicateKeyError extends Error {
  readonly code = 'TIERD_BAD_REQUEST';

  constructor(key: string) {
    super(`the key ${JSON.stringify(key.slice(0, 100))} is there twice in one object: send it once`);
    this.name = 'DuplicateKeyError';
  }
}

/** A body that is not JSON. */
export class MediaTypeError extends Error {
  readonly code = 'TIERD_MEDIA_TYPE';

  constructor(given: string | undefined, accepted: readonly string[]) {
    super(
      `${given === undefined ? 'no content type' : JSON.stringify(given.slice(0, 100))} is not taken: send ${accepted.join(' or ')}`,
    );
    this.name = 'MediaTypeError';
  }
}

/** What came over the socket is not HTTP. */
export class BadHttpError extends Error {
  readonly code = 'TIERD_BAD_REQUEST';

  constructor() {
    super('this is not an HTTP request');
    this.name = 'BadHttpError';
  }
}

/** The request's method is not one of this resource's. */
export class MethodNotAllowedError extends Error {
  readonly code = 'TIERD_METHOD_NOT_ALLOWED';
  readonly allowedMethods: readonly string[];

  constructor(method: string, path: string, allowedMethods: readonly string[]) {
    super(`${method} is not possible on ${path}: use ${allowedMethods.join(', ')}`);
    this.name = 'MethodNotAllowedError';
    this.allowedMethods = allowedMethods;
  }
}

/** Nothing is at this address. */
export class NotFoundError extends Error {
  readonly code = 'TIERD_NOT_FOUND';

  constructor(path: string) {
    super(`there is nothing at ${path}`);
    this.name = 'NotFoundError';
  }
}

/** So many clients follow the events already. */
export class TooManyEventClientsError extends Error {
  readonly code = 'TIERD_TOO_MANY_EVENT_CLIENTS';

  constructor(limit: number) {
    super(`${limit} clients follow the events already, and no more may: end one of them`);
    this.name = 'TooManyEventClientsError';
  }
}

/** The API socket cannot be opened. */
export class ApiSocketError extends Error {
  readonly code = 'TIERD_API_SOCKET';

  constructor(path: string, reason: string, options?: ErrorOptions) {
    super(`cannot listen on ${path}: ${reason}`, options);
    this.name = 'ApiSocketError';
  }
}

/** Another tierd answers on the API socket. */
export class AlreadyRunningError extends Error {
  readonly code = 'TIERD_ALREADY_RUNNING';

  constructor(path: string) {
    super(
      `another process answers on ${path}; stop it, or choose another socket (--socket; api.readSocket for readers)`,
    );
    this.name = 'AlreadyRunningError';
  }
}

interface HttpFailure {
  readonly status: number;
  readonly title: string;
}

const INTERNAL: HttpFailure = { status: 500, title: 'Internal error' };

/** HTTP status of every error code that a request can meet. */
const HTTP_FAILURES: ReadonlyMap<string, HttpFailure> = new Map([
  ['TIERD_BAD_REQUEST', { status: 400, title: 'Bad request' }],
  ['TIERD_UNAUTHORIZED', { status: 401, title: 'Token needed' }],
  ['TIERD_READ_ONLY', { status: 403, title: 'Reading only' }],
  ['TIERD_NOT_FOUND', { status: 404, title: 'Not found' }],
  ['TIERD_INTERLEAVE_UNAVAILABLE', { status: 404, title: 'The kernel has no weighted interleaving' }],
  ['TIERD_METHOD_NOT_ALLOWED', { status: 405, title: 'Method not allowed' }],
  ['TIERD_PROBE_RUNNING', { status: 409, title: 'A probe is under way' }],
  ['TIERD_BANDWIDTH_UNKNOWN', { status: 409, title: 'Bandwidths are not known' }],
  ['TIERD_DAMON_FOREIGN', { status: 409, title: 'Something else runs DAMON' }],
  ['TIERD_DAMON_EXCLUSIVE', { status: 409, title: 'Something else runs DAMON' }],
  ['TIERD_POLICY_OVERRULED', { status: 409, title: 'Set on the command line' }],
  ['TIERD_POLICY_CHANGED', { status: 412, title: 'Changed meanwhile' }],
  ['TIERD_POLICY_UNCHANGED', { status: 412, title: 'Not changed since' }],
  ['TIERD_BODY_TOO_LARGE', { status: 413, title: 'Body too large' }],
  ['TIERD_MEDIA_TYPE', { status: 415, title: 'Unsupported media type' }],
  ['TIERD_HOST_NOT_ALLOWED', { status: 421, title: 'Not a loopback name' }],
  ['TIERD_POLICY_INVALID', { status: 422, title: 'Policy not allowed' }],
  ['TIERD_MIGRATION_INVALID', { status: 422, title: 'Migration not possible' }],
  ['TIERD_INTERLEAVE_INVALID', { status: 422, title: 'Weights not allowed' }],
  ['TIERD_MIGRATION_QUEUE_FULL', { status: 429, title: 'Too many migrations' }],
  ['TIERD_TOO_MANY_EVENT_CLIENTS', { status: 429, title: 'Too many clients follow the events' }],
  ['TIERD_TOO_MANY_WRITES', { status: 429, title: 'Too many changes' }],
  ['TIERD_INTERNAL', INTERNAL],
  ['TIERD_SYSFS', { status: 503, title: 'The kernel refused' }],
  ['TIERD_KERNEL_FORMAT', { status: 503, title: 'The kernel answered oddly' }],
  ['TIERD_DAMON_REJECTED', { status: 503, title: 'The kernel refused' }],
  ['TIERD_DAMON_UNSUPPORTED', { status: 503, title: 'The kernel cannot do this' }],
  ['TIERD_DAMON_BUSY', { status: 503, title: 'DAMON is busy' }],
  ['TIERD_DAMON_NO_SPARE', { status: 503, title: 'No kdamond is left' }],
  ['TIERD_TRACE_UNAVAILABLE', { status: 503, title: 'The kernel cannot be watched' }],
  ['TIERD_KDAMOND_SILENT', { status: 503, title: 'A kdamond does not answer' }],
  ['TIERD_DAMON_RELEASED', { status: 503, title: 'tierd is stopping' }],
  ['TIERD_STOPPING', { status: 503, title: 'tierd is stopping' }],
  ['TIERD_KDAMOND_DIED', { status: 503, title: 'A kdamond went off' }],
  ['TIERD_STATE_DIRECTORY', { status: 503, title: 'The state cannot be saved' }],
]);

/** HTTP status and title of an error code; a code that is not for clients is an internal error. */
export function httpFailure(code: string): HttpFailure {
  return HTTP_FAILURES.get(code) ?? INTERNAL;
}

const CODES_BY_STATUS: ReadonlyMap<number, string> = new Map([
  [404, 'TIERD_NOT_FOUND'],
  [405, 'TIERD_METHOD_NOT_ALLOWED'],
  [413, 'TIERD_BODY_TOO_LARGE'],
  [415, 'TIERD_MEDIA_TYPE'],
]);

/** Our code for an error: its own, or for one of fastify's the code of its client-error status. */
export function errorCode(error: unknown): string {
  if (!(error instanceof Error)) return 'TIERD_INTERNAL';
  if ('code' in error && typeof error.code === 'string' && error.code.startsWith('TIERD_')) return error.code;
  const status = 'statusCode' in error && typeof error.statusCode === 'number' ? error.statusCode : 500;
  if (status < 400 || status >= 500) return 'TIERD_INTERNAL';
  return CODES_BY_STATUS.get(status) ?? 'TIERD_BAD_REQUEST';
}
