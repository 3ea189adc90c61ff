import type { Status, TieringService } from '../tiering/service.ts';
import type { Notifier } from './notify.ts';

const LOOK_EVERY_MS = 1_000;

export interface StartStatusOptions {
  readonly service: Pick<TieringService, 'status'>;
  readonly notifier: Pick<Notifier, 'status'>;
}

/** Tells the service manager what a start waits for, which may be for as long as something else runs DAMON, until it is stopped. */
export function tellStartStatus({ service, notifier }: StartStatusOptions): { stop(): void } {
  let told: string | undefined;
  const tell = (): void => {
    const line = startLine(service.status());
    if (line === told) return;
    told = line;
    void notifier.status(line);
  };
  tell();
  const timer = setInterval(tell, LOOK_EVERY_MS);
  timer.unref();
  return { stop: () => clearInterval(timer) };
}

/** One line for `systemctl status` before the daemon is ready. */
export function startLine({ waitingFor, problem }: Pick<Status, 'waitingFor' | 'problem'>): string {
  const line =
    waitingFor === undefined ? `starting: ${problem ?? 'waiting for the first snapshot'}` : `waiting for ${waitingFor}`;
  return line.replaceAll('\n', ' ');
}
