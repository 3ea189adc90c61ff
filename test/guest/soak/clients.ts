import { setTimeout as sleep } from 'node:timers/promises';
import type { ApiClient } from '../api-client.ts';
import { fastNode, mib, slowNode } from '../scenarios.ts';

const paths = [
  '/v1/status',
  '/v1/snapshot?format=text',
  '/v1/snapshot?sort=largest&limit=100',
  '/v1/processes',
  '/v1/cgroups?format=text',
  '/v1/history?sinceSeconds=3600',
  '/v1/topology',
  '/v1/schemes?format=text',
  '/v1/diagnosis',
  '/v1/migrations',
  '/v1/interleave',
  '/openapi.json',
];

/** Asks for all that there is, one after the other; gives how many answers. */
export async function readEverything(api: ApiClient, signal: AbortSignal): Promise<number> {
  let count = 0;
  for (; !signal.aborted; count += 1) {
    const path = paths[count % paths.length] ?? '';
    const { status, text } = await api.send('GET', path);
    if (status !== 200) throw new Error(`GET ${path} answered ${status}: ${text.slice(0, 500)}`);
    await sleep(500);
  }
  return count;
}

/** Follows the events for a while, leaves without a word, and comes back; gives how many times. */
export async function followEvents(api: ApiClient, signal: AbortSignal): Promise<number> {
  let count = 0;
  for (; !signal.aborted; count += 1) {
    const stream = api.follow('/v1/events', { 'last-event-id': '0' });
    const status = await stream.status;
    if (status !== 200) throw new Error(`GET /v1/events answered ${status}`);
    await sleep(2_000 + ((count * 700) % 5_000));
    stream.leave();
  }
  return count;
}

/** Sends a process down by order, and cancels every second order on its way. */
export async function orderMigrations(api: ApiClient, pid: number): Promise<void> {
  const { id } = await api.migrate({ pid, from: fastNode, to: slowNode, maxBytesPerSecond: 20 * mib });
  if (id % 2 === 0) await api.cancelMigration(id);
}
