import { setTimeout as sleepMs } from 'node:timers/promises';
import { SysFsError } from '../../numa/sysfs.ts';
import { DamonBusyError } from './errors.ts';

/** Time and chance, so that tests need neither. */
export interface Clock {
  /** Monotonic milliseconds. */
  nowMs(): number;
  sleep(ms: number): Promise<void>;
  /** In [0, 1). */
  random(): number;
}

export const hostClock: Clock = {
  nowMs: () => performance.now(),
  sleep: (ms) => sleepMs(ms),
  random: () => Math.random(),
};

const FIRST_PAUSE_MS = 2;
const LONGEST_PAUSE_MS = 500;

/**
 * Runs `attempt` until it no longer fails with EBUSY: DAMON's sysfs guards itself with one global trylock mutex, so that any
 * parallel reader of a `state` or `pid` makes us fail. Pauses grow and are jittered. Throws DamonBusyError after `limitMs`.
 */
export async function retryWhileBusy<T>(
  what: string,
  attempt: () => Promise<T>,
  limitMs: number,
  clock: Clock,
): Promise<T> {
  const startMs = clock.nowMs();
  for (let pauseMs = FIRST_PAUSE_MS; ; pauseMs = Math.min(pauseMs * 2, LONGEST_PAUSE_MS)) {
    try {
      return await attempt();
    } catch (error) {
      if (!(error instanceof SysFsError && error.errno === 'EBUSY')) throw error;
      const waitedMs = clock.nowMs() - startMs;
      if (waitedMs >= limitMs) throw new DamonBusyError(what, waitedMs, error);
      await clock.sleep(pauseMs * (0.5 + clock.random()));
    }
  }
}
