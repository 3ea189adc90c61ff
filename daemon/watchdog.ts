import type { Status, TieringService } from '../tiering/service.ts';
import { longestAggregationMs } from '../tiering/tuner/intervals.ts';
import type { Notifier } from './notify.ts';

/** Also without a watchdog: the status line is to be of now. */
const AT_LEAST_EVERY_MS = 20_000;
/** So many words in the time in which systemd waits for one, so that a late one does no harm. */
const WORDS_PER_WATCHDOG = 4;
/** A kdamond that copies to a slow device answers late; a loop that has decided nothing for so long stands still, whether it hangs or fails. */
const STUCK_AFTER_MS = 60_000;
const STUCK_AFTER_AGGREGATIONS = 5;

export interface WatchdogOptions {
  readonly service: Pick<TieringService, 'heartbeat' | 'status' | 'policy'>;
  readonly notifier: Pick<Notifier, 'alive' | 'status'>;
  /** CLOCK_MONOTONIC in milliseconds. */
  readonly nowMs: () => number;
  readonly everyMs: number;
}

/** How often to tell that the daemon is alive: several times in the unit's WatchdogSec, which systemd says in WATCHDOG_USEC (sd_watchdog_enabled(3)). */
export function watchdogEveryMs({ WATCHDOG_USEC: limitUs = '' }: NodeJS.ProcessEnv): number {
  const limitMs = Number(limitUs) / 1000;
  return limitMs > 0 ? Math.min(AT_LEAST_EVERY_MS, limitMs / WORDS_PER_WATCHDOG) : AT_LEAST_EVERY_MS;
}

/**
 * Tells the service manager time and again that the control loop decides, and what it does. One that does not is not told to be alive, so that systemd
 * restarts the daemon, which then goes on with its kdamonds.
 */
export function startWatchdog({ service, notifier, nowMs, everyMs }: WatchdogOptions): { stop(): void } {
  const startedAtMs = nowMs();
  const tell = (): Promise<void> => {
    const text = statusLine(service.status());
    const { lastDecisionAtMs = startedAtMs } = service.heartbeat();
    const aggregationIntervalMs = longestAggregationMs(service.policy());
    if (!isStuck(Math.max(startedAtMs, lastDecisionAtMs), aggregationIntervalMs, nowMs())) return notifier.alive(text);
    return notifier.status(`the control loop stands still; ${text}`);
  };
  let telling = false;
  const timer = setInterval(() => {
    // A word that takes long is not followed by a queue of others.
    if (telling) return;
    telling = true;
    void tell().finally(() => {
      telling = false;
    });
  }, everyMs);
  timer.unref();
  return { stop: () => clearInterval(timer) };
}

/** Whether the loop has decided nothing for a minute, or for some aggregations where those are long. */
export function isStuck(lastDecisionAtMs: number, aggregationIntervalMs: number, nowMs: number): boolean {
  return nowMs - lastDecisionAtMs > Math.max(STUCK_AFTER_MS, STUCK_AFTER_AGGREGATIONS * aggregationIntervalMs);
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
