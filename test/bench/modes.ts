import { damonStatState, removeKdamonds, switchDamonStat } from '../guest/damon-by-hand.ts';
import type { Guest } from '../guest/guest.ts';
import { fastNode, slowNode } from '../guest/scenarios.ts';
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

/** Debian packages that a guest needs for all of them. */
export const GUEST_PACKAGES = ['damo'];

/** The policy of HMSDK 4 as its generator writes it for all memory (--global; by default it serves one cgroup). */
const HMSDK = [
  'damo start',
  ...['--ops paddr', '--ops paddr', `--numa_node ${fastNode}`, `--numa_node ${slowNode}`],
  ...['--nr_targets 1 1', '--nr_ctxs 1 1', '--nr_schemes 1 1'],
  ...Array<string>(2).fill('--monitoring_intervals 100ms 2s 20s --monitoring_nr_regions_range 100 10000'),
  `--damos_action migrate_cold ${slowNode} --damos_action migrate_hot ${fastNode}`,
  ...Array<string>(2).fill('--damos_sz_region 4K max'),
  '--damos_access_rate 0% 0% --damos_access_rate 5% 100%',
  '--damos_age 30s max --damos_age 0s max',
  ...Array<string>(2).fill('--damos_quota_interval 20s --damos_quota_space 50G --damos_quota_weights 0 0% 1%'),
  '--damos_quota_time 1s --damos_quota_time 2s',
  '--damos_filter reject young --damos_filter reject none young --damos_nr_filters 1 1',
].join(' ');

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
  hmsdk: {
    timeoutMs: 85_000,
    start: async ({ guest }) => {
      if ((await damonStatState(guest)) === 'Y') await switchDamonStat(guest, false);
      await guest.check(HMSDK, { timeoutMs: 120_000 });
      return guestTime(guest);
    },
    stop: async (guest) => {
      // It may not have come to a start.
      await guest.run('damo stop', { timeoutMs: 120_000 });
      await removeKdamonds(guest);
      if ((await damonStatState(guest)) === 'N') await switchDamonStat(guest, true);
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
