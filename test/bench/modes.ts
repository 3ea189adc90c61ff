import type { Guest } from '../guest/guest.ts';
import type { Stage } from '../guest/stage.ts';
import type { Mode } from './results.ts';

const BALANCING = '/proc/sys/kernel/numa_balancing';
const DEMOTION = '/sys/kernel/mm/numa/demotion_enabled';

/** A way to tier memory, or none. */
export interface Tiering {
  /** Longest wait for the hot memory. */
  readonly timeoutMs: number;
  /** Gives the guest's time from which on it is at work. */
  start(stage: Stage): Promise<number>;
  /** Takes back what start() set; the daemon ends with its stage. */
  stop(guest: Guest): Promise<void>;
}

export const TIERINGS: Readonly<Record<Mode, Tiering>> = {
  none: {
    // Nothing is waited for but the proof that nothing moves.
    timeoutMs: 5_000,
    start: ({ guest }) => guestTime(guest),
    stop: async () => undefined,
  },
  numab2: {
    timeoutMs: 85_000,
    // As an operator sets it: promotion by hint faults, demotion instead of reclaim. Rate limit and hot threshold are the kernel's.
    start: async ({ guest }) => {
      await guest.check(`echo 1 >${DEMOTION} && echo 2 >${BALANCING}`);
      return guestTime(guest);
    },
    stop: async (guest) => {
      await guest.check(`echo 0 >${BALANCING} && echo 0 >${DEMOTION}`);
    },
  },
  tierd: {
    timeoutMs: 85_000,
    start: async (stage) => (await stage.startTierd()).readyTime,
    stop: async () => undefined,
  },
};

async function guestTime(guest: Guest): Promise<number> {
  return Number(await guest.check('date +%s.%N'));
}
