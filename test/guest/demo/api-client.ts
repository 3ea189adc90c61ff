import { request } from 'node:http';
import { GuestError } from '../errors.ts';

const timeoutMs = 10_000;

/** Asks the REST API at a Unix socket; gives the body of a 200 answer as JSON. */
export async function askApi<T>(socketPath: string, path: string, patch?: unknown): Promise<T> {
  const { status, body } = await exchange(socketPath, path, patch);
  if (status !== 200) throw new GuestError('COMMAND_FAILED', `tierd answered ${status} to ${path}: ${body}`);
  return JSON.parse(body);
}

function exchange(
  socketPath: string,
  path: string,
  patch: unknown,
): Promise<{ readonly status: number; readonly body: string }> {
  return new Promise((resolve, reject) => {
    const method = patch === undefined ? 'GET' : 'PATCH';
    const headers = patch === undefined ? {} : { 'content-type': 'application/json' };
    const client = request({ socketPath, path, method, headers, agent: false, timeout: timeoutMs }, (response) => {
      let body = '';
      response.setEncoding('utf8');
      response.on('data', (text: string) => {
        body += text;
      });
      response.once('error', reject);
      response.once('end', () => resolve({ status: response.statusCode ?? 0, body }));
    });
    client.once('timeout', () => client.destroy(new Error(`no answer within ${timeoutMs / 1000} s`)));
    client.once('error', reject);
    client.end(patch === undefined ? undefined : JSON.stringify(patch));
  });
}
