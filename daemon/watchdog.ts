import type { Heartbeat, Status, TieringService } from '../tiering/service.ts';
import type { Notifier } from './notify.ts';

/** Well below the unit's WatchdogSec, so that one late word does no harm. */
const EVERY_MS = 20_000;
/** A kdamond that copies to a slow device answers late; a loop that has not ended a tick for so long stands still. */
const STUCK_AFTER_MS = 60_000;

export interface WatchdogOptions {
  readonly service: Pick<TieringService, 'heartbeat' | 'status'>;
  readonly notifier: Pick<Notifier, 'alive' | 'status'>;
  /** CLOCK_MONOTONIC in milliseconds. */
  readonly nowMs: () => number;
}

/**
 * Tells the service manager every 20 s that the control loop goes on, and what it does. A loop that stands still is not told to be alive, so that systemd
 * restarts the daemon, which then goes on with its kdamonds.
 */
export function startWatchdog({ service, notifier, nowMs }: WatchdogOptions): { stop(): void } {
  const timer = setInterval(() => {
    const text = statusLine(service.status());
    if (isStuck(service.heartbeat(), nowMs())) void notifier.status(`the control loop stands still; ${text}`);
    else void notifier.alive(text);
  }, EVERY_MS);
  timer.unref();
  return { stop: () => clearInterval(timer) };
}

/** Whether the loop has begun and then ended no tick for a minute. */
export function isStuck({ lastTickAtMs }: Heartbeat, nowMs: number): boolean {
  return lastTickAtMs !== undefined && nowMs - lastTickAtMs > STUCK_AFTER_MS;
}

/** One line for `systemctl status`. */
export function statusLine({ state, problem, dryRun, nodes, hotBytesWaiting }: Status): string {
  const fast = nodes
    .filter(({ tier }) => tier === 0)
    .map(({ nodeId, usedShare, targetShare }) => {
      const target = targetShare === undefined ? '' : ` of ${percent(targetShare)}`;
      return `node ${nodeId} ${percent(usedShare)}${target} used`;
    });
  const waiting = `${Math.round(hotBytesWaiting / 1024 / 1024)} MiB hot wait`;
  const parts = [
    `${state}${dryRun ? ' (dry run)' : ''}`,
    ...(problem === undefined ? [] : [problem]),
    ...fast,
    waiting,
  ];
  return parts.join(', ').replaceAll('\n', ' ');
}

function percent(share: number): string {
  return `${(share * 100).toFixed(1)} %`;
}
