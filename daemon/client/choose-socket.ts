import { connect } from 'node:net';
import type { Config } from '../config-schema.ts';
import type { ClientRequest } from './client-request.ts';

/** The socket to ask: that for readers where the other is closed to this user and the request only reads. */
export async function chooseSocket(
  method: ClientRequest['method'],
  { socket, readSocket }: Pick<Config['api'], 'socket' | 'readSocket'>,
): Promise<string> {
  if (method !== 'GET' || readSocket === 'off') return socket;
  if ((await access(socket)) !== 'closed') return socket;
  return (await access(readSocket)) === 'open' ? readSocket : socket;
}

/** Whether this user may connect; nobody may to what is not there. */
function access(path: string): Promise<'open' | 'closed' | 'absent'> {
  return new Promise((resolve) => {
    const client = connect(path);
    client.once('connect', () => {
      client.destroy();
      resolve('open');
    });
    client.once('error', (error) => {
      const isClosed = 'code' in error && (error.code === 'EACCES' || error.code === 'EPERM');
      resolve(isClosed ? 'closed' : 'absent');
    });
  });
}
