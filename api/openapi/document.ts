import type { FastifyDynamicSwaggerOptions } from '@fastify/swagger';
import type { FastifySchema } from 'fastify';
import { PROBLEM_MEDIA_TYPE } from '../problem.ts';
import { isJsonObject } from '../schema/json-schema.ts';
import type { Operation } from './operations.ts';
import { OPERATIONS } from './operations.ts';

/** How the OpenAPI 3.1 document is made: of the very schemas that validate, with what OPERATIONS says beside them. */
export function documentOptions(version: string): FastifyDynamicSwaggerOptions {
  return {
    openapi: {
      openapi: '3.1.0',
      info: {
        title: 'tierd',
        version,
        description:
          'Tiered memory (CXL) management. HTTP over a Unix socket: curl --unix-socket /run/tierd/tierd.sock http://localhost/v1/status',
        license: { name: 'Apache-2.0', identifier: 'Apache-2.0' },
      },
      servers: [{ url: 'http://localhost', description: 'Over the Unix socket; the host name is not looked at.' }],
    },
    transform: ({ schema, url, route }) => {
      const method = [route.method].flat().find((name) => name !== 'HEAD') ?? 'GET';
      const operation = OPERATIONS.get(`${method} ${url}`);
      return { url, schema: operation === undefined ? schema : describe(schema, operation) };
    },
  };
}

/** Fastify's word for a schema, with what it cannot know of an operation. Pure. */
function describe(
  schema: FastifySchema,
  { operationId, tag, summary, hasText = false, body }: Operation,
): FastifySchema {
  const responses = isJsonObject(schema.response) ? Object.entries(schema.response) : [];
  return {
    ...schema,
    operationId,
    tags: [tag],
    summary,
    ...(body !== undefined && {
      body: {
        description: body.description,
        content: Object.fromEntries(body.mediaTypes.map((type) => [type, { schema: body.schema }])),
      },
    }),
    response: Object.fromEntries(
      responses.map(([status, answer]) => [status, answerOf(status, answer, operationId, hasText)]),
    ),
  };
}

function answerOf(status: string, schema: unknown, operationId: string, hasText: boolean): object {
  if (!/^2/.test(status)) {
    return { description: 'Problem details (RFC 9457).', content: { [PROBLEM_MEDIA_TYPE]: { schema } } };
  }
  const text = { 'text/plain': { schema: { type: 'string' } } };
  if (operationId === 'getEvents') {
    const stream = { 'text/event-stream': { schema }, ...text };
    return { description: 'Server-sent events, or lines for a terminal, without an end.', content: stream };
  }
  if (operationId === 'getMetrics') return { description: 'Prometheus text format.', content: text };
  return {
    description: hasText ? 'JSON, or text for a terminal.' : 'As asked.',
    content: { 'application/json': { schema }, ...(hasText && text) },
  };
}
