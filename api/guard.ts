import { createHash, timingSafeEqual } from 'node:crypto';
import { HostNotAllowedError, ReadOnlyError, UnauthorizedError } from './errors.ts';
import type { Api } from './routes/context.ts';

/** Names by which a loopback address is asked; a page of a browser that was made to resolve its own name to it uses another (DNS rebinding). */
const LOOPBACK_HOSTS = new Set(['localhost', '127.0.0.1', '[::1]']);

/**
 * Lets in only requests with the token, to a loopback name. For the TCP port: whoever may open the Unix socket is let in by its mode. No CORS header is ever
 * sent, so that no page of a browser can read an answer.
 */
export function requireToken(app: Api, token: string): void {
  const wanted = digest(token);
  app.addHook('onRequest', async ({ headers }, reply) => {
    const name = (headers.host ?? '').replace(/:\d+$/, '').toLowerCase();
    if (!LOOPBACK_HOSTS.has(name)) throw new HostNotAllowedError(headers.host);
    const [, given] = /^Bearer +(\S+)$/i.exec(headers.authorization ?? '') ?? [];
    // Digests are of one length, so that comparing takes the same time whatever was sent.
    if (given !== undefined && timingSafeEqual(digest(given), wanted)) return;
    reply.header('www-authenticate', 'Bearer realm="tierd"');
    throw new UnauthorizedError(given !== undefined);
  });
}

/** Lets in only GET and HEAD, for the socket of readers. Previews of changes (`?dryRun`) are asked for as changes, and refused as these. */
export function allowReadsOnly(app: Api): void {
  app.addHook('onRequest', async ({ method }) => {
    if (method !== 'GET' && method !== 'HEAD') throw new ReadOnlyError(method);
  });
}

function digest(text: string): Buffer {
  return createHash('sha256').update(text).digest();
}
