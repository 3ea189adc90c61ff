import { execFile } from 'node:child_process';
import type { Logger } from '../tiering/logger.ts';
import { Serial } from '../tiering/serial.ts';

/** A word to the service manager (sd_notify). */
export interface Notifier {
  /** The service does its work now. */
  ready(status: string): Promise<void>;
  /** The service reads its configuration again; ready() says when it is done. */
  reloading(): Promise<void>;
  /** The service goes on with its work. */
  alive(status: string): Promise<void>;
  /** What it does, without a word on whether it goes on. */
  status(status: string): Promise<void>;
  /** The service is ending. */
  stopping(status: string): Promise<void>;
}

const TIMEOUT_MS = 5000;

/**
 * Tells systemd through its own tool: Node has no Unix datagrams. A child's word counts with NotifyAccess=all in the unit.
 * Without NOTIFY_SOCKET nobody wants to know.
 */
export function createNotifier(environment: NodeJS.ProcessEnv, logger: Logger): Notifier {
  // A word must not overtake the one before: the last status would be an old one.
  const words = new Serial();
  const notify = (args: readonly string[]): Promise<void> =>
    new Promise((resolve) => {
      execFile('systemd-notify', args, { env: environment, timeout: TIMEOUT_MS }, (error) => {
        if (error !== null) logger.warn({ reason: error.message }, 'systemd was not told: systemd-notify failed');
        resolve();
      });
    });
  const send = async (...args: string[]): Promise<void> => {
    if (environment.NOTIFY_SOCKET !== undefined) await words.run(() => notify(args));
  };
  return {
    ready: (status) => send('--ready', `--status=${status}`),
    reloading: () => send('--reloading'),
    alive: (status) => send('WATCHDOG=1', `--status=${status}`),
    status: (status) => send(`--status=${status}`),
    stopping: (status) => send('STOPPING=1', `--status=${status}`),
  };
}
