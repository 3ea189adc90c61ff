import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { pino } from 'pino';
import { buildApp } from '../../api/app.ts';
import { OperatorSettings } from '../../api/policy/operator-settings.ts';
import type { TieringService } from '../../tiering/service.ts';
import type { Progress } from '../guest/progress.ts';
import { askedPaths, latencyResults } from './rest-latency.ts';
import type { RestLatencyResult } from './results.ts';
import { endWithUs, removeScratch, scratchDirectory } from './scratch.ts';
import { withSimulatedHost } from './simulated-engine.ts';

const LOAD = { regions: 10_000, hotShare: 0.2 };
const SECONDS = 60;
/** So often that each resource is asked some 200 times: of fewer, the 99th percentile is but the slowest. */
const EVERY_MS = 20;

/** How long every GET takes on this machine, asked by another process, while a simulated kernel moves memory at every decision. */
export function timeNativeAnswers(progress: Progress): Promise<readonly RestLatencyResult[]> {
  const paths = askedPaths();
  progress(`native: ${paths.length} resources asked in turns for ${SECONDS} s, ${LOAD.regions} regions`);
  return withSimulatedHost(LOAD, async (service) => {
    const directory = scratchDirectory();
    const api = apiOf(service);
    try {
      const socket = await api.listen({ path: join(directory, 'tierd.sock') });
      const before = movedBytes(service);
      const said = await ask(socket, paths);
      const migratedBytes = movedBytes(service) - before;
      if (migratedBytes === 0) throw new Error('nothing moved meanwhile');
      const where = { kernel: 'simulated', engine: 'damos', migratedBytes, seconds: SECONDS } as const;
      return latencyResults(said, where);
    } finally {
      await api.close();
      removeScratch(directory);
    }
  });
}

function apiOf(service: TieringService) {
  const logger = pino({ level: 'silent' });
  const layers = { commandLine: {}, rest: {}, file: {} };
  const settings = new OperatorSettings({
    service,
    layers,
    save: async () => undefined,
    invalidate: async () => undefined,
    logger,
  });
  return buildApp({ service, settings, logger, version: 'bench' });
}

async function ask(socket: string, paths: readonly string[]): Promise<string> {
  const program = join(import.meta.dirname, 'in-guest', 'rest-work.ts');
  const args = ['--import', 'tsx', program, socket, `${SECONDS}`, `${EVERY_MS}`, ...paths];
  const child = spawn(process.execPath, args, { stdio: ['ignore', 'pipe', 'inherit'] });
  endWithUs(child);
  const [said, [code]] = await Promise.all([text(child.stdout), once(child, 'exit')]);
  if (code !== 0) throw new Error(`asking ended with ${code}`);
  return said;
}

function movedBytes(service: TieringService): number {
  const { promotedBytes, demotedBytes } = service.status();
  return promotedBytes + demotedBytes;
}
