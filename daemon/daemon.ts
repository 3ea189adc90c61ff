import type { FastifyBaseLogger } from 'fastify';
import { buildApp } from '../api/app.ts';
import { Exposition } from '../api/metrics/exposition.ts';
import type { OperatorSettings } from '../api/policy/operator-settings.ts';
import type { Api } from '../api/routes/context.ts';
import { listenOnLoopback, listenOnSocket } from '../api/socket.ts';
import type { TieringRuntime } from '../tiering/controller.ts';
import { STOP_BUDGET_MS } from '../tiering/damon/stop-budget.ts';
import { inTime } from '../tiering/in-time.ts';
import { monotonicMs } from '../tiering/monotonic.ts';
import { Serial } from '../tiering/serial.ts';
import type { Ending, EndingWatch } from './ending.ts';
import { EXIT_LEFT_ON, EXIT_OK, EXIT_UNEXPECTED } from './exit-codes.ts';
import { giveBackMemory } from './give-back-memory.ts';
import type { Notifier } from './notify.ts';
import { tellStartStatus } from './start-status.ts';
import { startWatchdog, watchdogEveryMs } from './watchdog.ts';

/** How long the end waits for a last try to save what could not be saved before. */
const LAST_SAVE_MS = 2_000;
const CLOSE_MS = 2_000;
/** The longest that the end takes: whoever kills the daemon must wait for longer. */
export const ENDS_WITHIN_MS = STOP_BUDGET_MS + LAST_SAVE_MS + CLOSE_MS;

export interface DaemonParts {
  readonly runtime: TieringRuntime;
  readonly settings: OperatorSettings;
  /** Reads the configuration again. */
  readonly reload: () => Promise<void>;
  readonly logger: FastifyBaseLogger;
  readonly notifier: Notifier;
  readonly socket: string;
  /** Where the API answers too, to requests that only read. */
  readonly readSocket?: string;
  /** Where the API answers too, to requests with this token. */
  readonly tcp?: { readonly port: number; readonly token: string };
  readonly version: string;
  /** Reasons to end; one that came already counts as well. */
  readonly watch: EndingWatch;
  /** Ends the process at once. */
  exit(code: number): void;
}

/**
 * Runs engine and API until a signal or an error ends them, and puts everything back in order. Resolves with the exit code;
 * rejects when the daemon cannot start.
 */
export async function runDaemon(parts: DaemonParts): Promise<number> {
  const { runtime, settings, logger, notifier, socket, readSocket, tcp, version, watch } = parts;
  const common = { service: runtime, settings, logger, version, exposition: new Exposition() };
  const api = buildApp(common);
  const readApi = buildApp({ ...common, isReadOnly: true });
  const tcpApi = tcp && buildApp({ ...common, token: tcp.token });
  watch.onFurther((ending) => endAtOnce(parts, ending));
  let code = EXIT_UNEXPECTED;
  let hasLeftOn = false;
  try {
    // The socket first: it tells whether another tierd runs, before DAMON is touched, and answers while the engine waits.
    await listenOnSocket(api, socket);
    if (readSocket !== undefined) await listenForReaders(readApi, readSocket, logger);
    if (tcp !== undefined && tcpApi !== undefined) await listenOnLoopback(tcpApi, tcp.port);
    const ending = await Promise.race([watch.first, startUp(parts)]);
    logEnding(logger, ending);
    void notifier.stopping('putting DAMON back as it was');
    code = ending.reason === 'signal' ? EXIT_OK : EXIT_UNEXPECTED;
  } finally {
    // First of all, and whatever else hangs or fails; the API answers meanwhile.
    hasLeftOn = await giveBack(parts);
    const closing = [api, readApi, tcpApi].map((app) => app?.close());
    await inTime(Promise.all(closing), CLOSE_MS).catch((error: unknown) =>
      logger.error({ err: error }, 'the API did not close'),
    );
    watch.release();
    logger.info({}, 'stopped');
  }
  return code === EXIT_OK && hasLeftOn ? EXIT_LEFT_ON : code;
}

/** Whether a kdamond may go on. */
async function giveBack({ runtime, settings, logger }: DaemonParts): Promise<boolean> {
  const saving = settings.close();
  try {
    return (await runtime.stop()).length > 0;
  } catch (error) {
    logger.error({ err: error }, 'DAMON could not be put back');
    return true;
  } finally {
    await inTime(saving, LAST_SAVE_MS).catch(() => undefined);
  }
}

/** Memory is managed whether or not a dashboard can look on. */
async function listenForReaders(api: Api, socket: string, logger: FastifyBaseLogger): Promise<void> {
  try {
    await listenOnSocket(api, socket);
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error);
    logger.error({ reason }, 'api.readSocket cannot be opened: who may only read gets no answer');
  }
}

/** Rejects when the engine cannot start, and never resolves: only a reason to end does. */
async function startUp({ runtime, reload, logger, notifier, socket, watch }: DaemonParts): Promise<never> {
  giveBackMemory();
  const startStatus = tellStartStatus({ service: runtime, notifier });
  void watch.first.then(() => startStatus.stop());
  try {
    await runtime.start();
    await runtime.ready;
  } finally {
    startStatus.stop();
  }
  giveBackMemory();
  const { nodes } = runtime.status();
  logger.info({ socket, nodes: nodes.length }, 'ready');
  await notifier.ready(`watching ${nodes.length} memory nodes`);
  const everyMs = watchdogEveryMs(process.env);
  const watchdog = startWatchdog({ service: runtime, notifier, nowMs: monotonicMs, everyMs });
  void watch.first.then(() => watchdog.stop());
  const reloads = new Serial();
  watch.onHangup(() => void reloads.run(reload));
  return new Promise<never>(() => undefined);
}

function logEnding(logger: FastifyBaseLogger, ending: Ending): void {
  if (ending.reason === 'signal') logger.info({ signal: ending.signal }, 'stopping');
  else logger.fatal({ err: ending.error }, 'unexpected error: stopping');
}

function endAtOnce({ logger, exit }: DaemonParts, ending: Ending): void {
  if (ending.reason === 'signal')
    logger.warn({ signal: ending.signal }, 'second signal: leaving without putting DAMON back');
  else logger.fatal({ err: ending.error }, 'unexpected error while stopping');
  exit(EXIT_UNEXPECTED);
}
