import type { HostNode, HostOptions } from './simulated-host.ts';
import { SimulatedHost } from './simulated-host.ts';

/** About the numa2 guest: 960 MiB of DRAM, of which the kernel has 90, and 1.25 GiB of slow memory. */
export const DRAM: HostNode = { nodeId: 0, totalMiB: 960, tier: 0, highWatermarkMiB: 48, kernelMiB: 90 };
export const SLOW: HostNode = { nodeId: 1, totalMiB: 1280, tier: 1, highWatermarkMiB: 20, kernelMiB: 20 };

export function numa2(options: Partial<HostOptions> = {}): SimulatedHost {
  return new SimulatedHost({ nodes: [DRAM, SLOW], ...options });
}

/** What Debian's kernel does differently. */
export const AS_ON_6_12 = { commitPostponesPass: true, firstPassUnlimited: true };

/** Kernels, workloads and ways of watching that the tuner must cope with. */
export const CONDITIONS: readonly (readonly [string, Partial<HostOptions>])[] = [
  ['a plain host', {}],
  ['another course of chance', { seed: 7 }],
  ['commits that take effect one pass late', { commitLatePasses: 1 }],
  ['commits that put the pass off and first passes without a quota, as on 6.12', AS_ON_6_12],
  ['snapshots taken before the pass', { snapshotBeforePass: true }],
  ['a third of the snapshots lost', { lostSnapshotShare: 0.33 }],
  ['sampling that misses 40 % of the accesses', { missedShare: 0.4 }],
  ['slow migration', { migrationMiBPerSecond: 40 }],
  ['fast migration', { migrationMiBPerSecond: 1000 }],
  ['promoted memory packed together', { placement: 'packed' }],
  ['decisions twice as often as aggregations', { tickMs: 250 }],
  ['decisions half as often as aggregations', { tickMs: 1000 }],
];
