import type { Static } from 'typebox';
import Type from 'typebox';
import {
  errorCode,
  httpFailure,
  InvalidInterleaveError,
  InvalidMigrationError,
  InvalidPolicyError,
  InvalidQueryError,
} from './errors.ts';
import { formatKeyPath } from './schema/json-schema.ts';
import type { Violation } from './schema/violation.ts';

export const PROBLEM_MEDIA_TYPE = 'application/problem+json';

/** Problem details (RFC 9457): the body of every answer that is not 2xx. */
export const ProblemSchema = Type.Object(
  {
    type: Type.String({ description: 'urn:tierd: and the code: names the kind of problem.' }),
    title: Type.String({ description: 'The kind of problem in words.' }),
    status: Type.Integer({ description: 'The HTTP status.' }),
    detail: Type.String({ description: 'What was wrong with this request.' }),
    code: Type.String({ description: 'TIERD_ and the kind of problem.' }),
    errors: Type.Optional(
      Type.Array(
        Type.Object({
          key: Type.String({ description: 'Path of the key, empty for the whole document.' }),
          value: Type.Unknown({ description: 'What was asked for.' }),
          allowed: Type.String({ description: 'What is allowed there.' }),
          detail: Type.String({ description: 'Both in one sentence.' }),
        }),
        { description: 'Everything that is wrong, key by key.' },
      ),
    ),
  },
  { description: 'Problem details (RFC 9457).' },
);

export type Problem = Static<typeof ProblemSchema>;

/** The problem that an error is to a client. What went wrong inside is for the log: clients get the code. */
export function problemOf(error: unknown): Problem {
  const code = errorCode(error);
  const { status, title } = httpFailure(code);
  const detail = code === 'TIERD_INTERNAL' || !(error instanceof Error) ? 'see the log of tierd' : error.message;
  const problem: Problem = { type: `urn:tierd:${code}`, title, status, detail, code };
  const namesKeys =
    error instanceof InvalidInterleaveError ||
    error instanceof InvalidPolicyError ||
    error instanceof InvalidMigrationError ||
    error instanceof InvalidQueryError;
  return namesKeys ? { ...problem, errors: problemErrors(error.violations) } : problem;
}

function problemErrors(violations: readonly Violation[]): NonNullable<Problem['errors']> {
  return violations.map(({ path, value, allowed, message }) => ({
    key: formatKeyPath(path),
    value: value ?? null,
    allowed,
    detail: message,
  }));
}
