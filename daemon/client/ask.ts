import type { IncomingMessage } from 'node:http';
import { request as httpRequest } from 'node:http';
import { isJsonObject } from '../../api/schema/json-schema.ts';
import { WARNING_HEADER } from '../../api/warning-header.ts';
import type { ClientRequest } from './client-request.ts';
import { DaemonForbiddenError, DaemonUnreachableError, RequestRefusedError } from './errors.ts';

export interface Answer {
  readonly contentType: string;
  readonly text: string;
  /** What the daemon did, but not as well as it should have. */
  readonly warning?: string;
}

/** A change or a probe may wait for the kernel; everything else is answered from memory. */
const TIMEOUT_MS = { GET: 10_000, POST: 120_000, PATCH: 60_000, DELETE: 60_000 } as const;
/** The largest snapshot there can be, 100,000 regions a node as JSON on some nodes, fits. */
const MAX_ANSWER_BYTES = 512 * 1024 * 1024;

/** Sends a request to the daemon. Throws DaemonUnreachableError, DaemonForbiddenError, or RequestRefusedError for an answer that is not 2xx. */
export async function ask(request: ClientRequest, socket: string): Promise<Answer> {
  const response = await send(request, socket);
  const text = await answered(response, socket);
  const { 'content-type': contentType = '', [WARNING_HEADER]: warning } = response.headers;
  return { contentType, text, ...(typeof warning === 'string' && { warning }) };
}

/** Sends a request whose answer has no end; gives it piece by piece. Throws as ask() does, also when the daemon ends. */
export async function* follow(request: ClientRequest, socket: string, signal?: AbortSignal): AsyncGenerator<string> {
  const response = await send(request, socket, signal);
  response.setEncoding('utf8');
  try {
    for await (const piece of response) yield String(piece);
  } catch (error) {
    if (signal?.aborted !== true) throw unreachable(error, socket);
  }
}

/** The head of an answer that is 2xx. */
async function send(
  { method, path, body, as, follow: isEndless = false }: ClientRequest,
  socket: string,
  signal?: AbortSignal,
): Promise<IncomingMessage> {
  const payload = body === undefined ? undefined : JSON.stringify(body);
  const response = await new Promise<IncomingMessage>((resolve, reject) => {
    const request = httpRequest(
      {
        socketPath: socket,
        method,
        path,
        headers: {
          host: 'tierd',
          accept: as === 'text' ? 'text/plain, application/json;q=0.9' : 'application/json',
          ...(payload !== undefined && { 'content-type': 'application/json' }),
          // All events that are kept come first.
          ...(isEndless && { 'last-event-id': '0' }),
        },
        ...(signal && { signal }),
        timeout: isEndless ? 0 : TIMEOUT_MS[method],
      },
      resolve,
    );
    request.on('timeout', () =>
      request.destroy(new Error(`no answer within ${TIMEOUT_MS[method] / 1000} s; its log says more`)),
    );
    request.on('error', reject);
    request.end(payload);
  }).catch((error: unknown) => Promise.reject(unreachable(error, socket)));
  const status = response.statusCode ?? 0;
  if (status >= 200 && status <= 299) return response;
  throw new RequestRefusedError(status, problemDetail(await answered(response, socket), status));
}

function answered(response: IncomingMessage, socket: string): Promise<string> {
  return textOf(response).catch((error: unknown) => Promise.reject(unreachable(error, socket)));
}

async function textOf(response: IncomingMessage): Promise<string> {
  const chunks: Buffer[] = [];
  let bytes = 0;
  for await (const chunk of response) {
    const buffer = Buffer.from(chunk);
    bytes += buffer.length;
    if (bytes > MAX_ANSWER_BYTES) throw new Error(`its answer is larger than ${MAX_ANSWER_BYTES} bytes`);
    chunks.push(buffer);
  }
  return Buffer.concat(chunks).toString('utf8');
}

function unreachable(error: unknown, socket: string): Error {
  const errno = error instanceof Error && 'code' in error ? error.code : undefined;
  if (errno === 'EACCES' || errno === 'EPERM') return new DaemonForbiddenError(socket, { cause: error });
  const reasons = new Map<unknown, string>([
    ['ENOENT', 'there is no such socket; is the daemon running? See "systemctl status tierd"'],
    ['ECONNREFUSED', 'nobody listens there; the daemon has ended. See "systemctl status tierd"'],
    ['ECONNRESET', 'it closed the connection; it is ending or restarting'],
  ]);
  const reason = reasons.get(errno) ?? (error instanceof Error ? error.message : String(error));
  return new DaemonUnreachableError(socket, reason, { cause: error });
}

/** What a problem document (RFC 9457) says. */
function problemDetail(text: string, status: number): string {
  try {
    const problem: unknown = JSON.parse(text);
    if (isJsonObject(problem) && typeof problem.detail === 'string') return problem.detail;
  } catch {
    // Something else answers on this socket.
  }
  return `the answer has status ${status} and says nothing more`;
}
