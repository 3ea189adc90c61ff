import { setTimeout as sleep } from 'node:timers/promises';
import { monotonicMs } from '../monotonic.ts';
import type { Moment } from './job-record.ts';

/** Time as migrations see it, so that tests need not wait. */
export interface JobClock {
  now(): Moment;
  /** Resolves after `ms`, or at once when the signal aborts. */
  sleep(ms: number, signal: AbortSignal): Promise<void>;
}

/** The real time. */
export const HOST_CLOCK: JobClock = {
  now: () => ({ date: new Date(), monotonicMs: monotonicMs() }),
  sleep: (ms, signal) => sleep(ms, undefined, { signal }).catch(() => undefined),
};
