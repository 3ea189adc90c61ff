import type { FastifyDynamicSwaggerOptions } from '@fastify/swagger';
import type { FastifySchema } from 'fastify';
import { PROBLEM_MEDIA_TYPE } from '../problem.ts';
import { isJsonObject } from '../schema/json-schema.ts';
import type { Operation } from './operations.ts';
import { headersOf, OPERATIONS } from './operations.ts';

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
      servers: [
        {
          url: 'http://localhost',
          description:
            'Over the Unix sockets, of which that for readers answers GET and HEAD only; the host name is not looked at.',
        },
        {
          url: 'http://127.0.0.1:{port}',
          description: 'Over TCP, to requests with the bearer token; off by default.',
          variables: { port: { default: '8080', description: 'api.tcpPort of the configuration.' } },
        },
      ],
      components: {
        securitySchemes: {
          token: {
            type: 'http',
            scheme: 'bearer',
            description: 'Over TCP only: the token of api.tokenFile. Who may open a Unix socket needs none.',
          },
        },
      },
      security: [{}, { token: [] }],
    },
    transform: ({ schema, url, route }) => {
      const method = [route.method].flat().find((name) => name !== 'HEAD') ?? 'GET';
      const operation = OPERATIONS.get(`${method} ${url}`);
      return { url, schema: operation === undefined ? schema : describe(schema, operation) };
    },
  };
}

/** Fastify's word for a schema, with what it cannot know of an operation. Pure. */
function describe(schema: FastifySchema, operation: Operation): FastifySchema {
  const { operationId, tag, summary, body } = operation;
  // What is said of a body by its media types does not come through.
  const description = [operation.description, body?.description].filter((text) => text !== undefined).join(' ');
  const responses = isJsonObject(schema.response) ? Object.entries(schema.response) : [];
  return {
    ...schema,
    operationId,
    tags: [tag],
    summary,
    ...(description !== '' && { description }),
    ...(body !== undefined && {
      body: {
        content: Object.fromEntries(body.mediaTypes.map((type) => [type, { schema: body.schema }])),
      },
    }),
    response: Object.fromEntries(responses.map(([status, answer]) => [status, answerOf(status, answer, operation)])),
  };
}

function answerOf(status: string, schema: unknown, operation: Operation): object {
  if (!/^2/.test(status)) {
    return { description: 'Problem details (RFC 9457).', content: { [PROBLEM_MEDIA_TYPE]: { schema } } };
  }
  return { ...successOf(schema, operation), headers: headersOf(operation) };
}

function successOf(schema: unknown, { operationId, hasText = false }: Operation): object {
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
