import { setTimeout as sleep } from 'node:timers/promises';
import { processCpuMs } from '../cpu-allowance.ts';
import { monotonicMs } from '../monotonic.ts';
import type { Moment } from './job-record.ts';

/** Time as migrations see it, so that tests need not wait. */
export interface JobClock {
  now(): Moment;
  /** Processor time of this process so far, in milliseconds. */
  cpuMs(): number;
  /** Resolves after `ms`, or at once when the signal aborts. */
  sleep(ms: number, signal: AbortSignal): Promise<void>;
}

/** The real time. */
export const HOST_CLOCK: JobClock = {
  now: () => ({ date: new Date(), monotonicMs: monotonicMs() }),
  cpuMs: processCpuMs,
  sleep: (ms, signal) => sleep(ms, undefined, { signal }).catch(() => undefined),
};
