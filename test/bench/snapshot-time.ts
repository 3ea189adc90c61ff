import { request } from 'node:http';
import { join } from 'node:path';
import { pino } from 'pino';
import { buildApp } from '../../api/app.ts';
import { OperatorSettings } from '../../api/policy/operator-settings.ts';
import { listenOnSocket } from '../../api/socket.ts';
import type { Guest } from '../guest/guest.ts';
import type { Progress } from '../guest/progress.ts';
import { FakeService, largeSnapshot } from '../unit/api/fake-service.ts';
import { middleOf } from './middle.ts';
import type { SnapshotResult } from './results.ts';
import { removeScratch, scratchDirectory } from './scratch.ts';

const FORMATS = ['json', 'text'] as const;
const GUEST_SOCKET = '/run/tierd/tierd.sock';
const GUEST_ROUNDS = 9;
const NATIVE_ROUNDS = 40;

/** GET /v1/snapshot of a daemon in a guest, by curl in that guest: from connect to the last byte. */
export async function timeGuestSnapshots(guest: Guest, regions: number): Promise<readonly SnapshotResult[]> {
  const results: SnapshotResult[] = [];
  for (const format of FORMATS) {
    const curl = `curl -sS --fail -o /dev/null -w '%{time_total} %{size_download}\\n' --unix-socket ${GUEST_SOCKET} 'http://localhost/v1/snapshot?format=${format}'`;
    const output = await guest.check(`for i in $(seq ${GUEST_ROUNDS + 1}); do ${curl}; done`, { timeoutMs: 180_000 });
    // The first one finds code that was not compiled yet; it happens once in a daemon's life.
    const rows = output.trim().split('\n').slice(1);
    const timesMs = rows.map((row) => Number(row.split(' ')[0]) * 1000);
    const bytes = Number(rows.at(-1)?.split(' ')[1]);
    results.push(resultOf(`guest ${guest.kernel}`, regions, format, timesMs, bytes));
  }
  return results;
}

/** The same on this machine: the real API over a service with made-up regions. */
export async function timeNativeSnapshots(progress: Progress): Promise<readonly SnapshotResult[]> {
  progress('native: snapshots of 1,000 and 10,000 regions');
  const directory = scratchDirectory();
  const service = new FakeService();
  const logger = pino({ level: 'silent' });
  const layers = { commandLine: {}, rest: {}, file: {} };
  const settings = new OperatorSettings({
    service,
    layers,
    save: async () => undefined,
    invalidate: async () => undefined,
    logger,
  });
  const api = buildApp({ service, settings, logger, version: 'bench' });
  const socketPath = join(directory, 'tierd.sock');
  try {
    await listenOnSocket(api, socketPath);
    const results: SnapshotResult[] = [];
    for (const regions of [1_000, 10_000]) {
      service.snapshotList = [largeSnapshot(regions)];
      for (const format of FORMATS) {
        const timesMs: number[] = [];
        let bytes = 0;
        for (let round = 0; round <= NATIVE_ROUNDS; round += 1) {
          const since = performance.now();
          bytes = await download(socketPath, `/v1/snapshot?format=${format}`);
          timesMs.push(performance.now() - since);
        }
        results.push(resultOf('this machine', regions, format, timesMs.slice(1), bytes));
      }
    }
    return results;
  } finally {
    await api.close();
    removeScratch(directory);
  }
}

/** Bytes of the body. */
function download(socketPath: string, path: string): Promise<number> {
  return new Promise((resolve, reject) => {
    const outgoing = request({ socketPath, path, agent: false }, (incoming) => {
      let bytes = 0;
      incoming.on('data', (chunk: Buffer) => {
        bytes += chunk.length;
      });
      incoming.on('error', reject);
      incoming.on('end', () =>
        incoming.statusCode === 200 ? resolve(bytes) : reject(new Error(`${path} answered ${incoming.statusCode}`)),
      );
    });
    outgoing.on('error', reject);
    outgoing.end();
  });
}

function resultOf(
  where: string,
  regions: number,
  format: SnapshotResult['format'],
  timesMs: readonly number[],
  bytes: number,
): SnapshotResult {
  return { where, regions, format, medianMs: middleOf(timesMs), slowestMs: Math.max(...timesMs), bytes };
}
