import type { Topology } from '../../numa/topology.ts';
import type { Evidence } from './finding.ts';
import type { KnownDamon } from './known-damon.ts';

/** What became of looking at a file: its trimmed text, that it is not there, or why it cannot be read. */
export type Fact =
  | { readonly state: 'value'; readonly file: string; readonly text: string }
  | { readonly state: 'absent'; readonly file: string }
  | { readonly state: 'unreadable'; readonly file: string; readonly errno: string };

/** Single files that the checks go by. */
export const FACT_FILES = {
  kernelRelease: '/proc/sys/kernel/osrelease',
  nrKdamonds: '/sys/kernel/mm/damon/admin/kdamonds/nr_kdamonds',
  damonStat: '/sys/module/damon_stat/parameters/enabled',
  damonReclaim: '/sys/module/damon_reclaim/parameters/enabled',
  damonLruSort: '/sys/module/damon_lru_sort/parameters/enabled',
  numaBalancing: '/proc/sys/kernel/numa_balancing',
  demotionEnabled: '/sys/kernel/mm/numa/demotion_enabled',
  zoneReclaimMode: '/proc/sys/vm/zone_reclaim_mode',
  transparentHugePages: '/sys/kernel/mm/transparent_hugepage/enabled',
  hugePages: '/proc/sys/vm/nr_hugepages',
  autoOnline: '/sys/devices/system/memory/auto_online_blocks',
  cgroupControllers: '/sys/fs/cgroup/cgroup.controllers',
  damonEvents: '/sys/kernel/tracing/events/damon/enable',
  ownStatus: '/proc/self/status',
} as const;

export type FactName = keyof typeof FACT_FILES;

/** A kdamond that runs, whoever started it. */
export interface KdamondFact {
  readonly index: number;
  readonly pid: number;
  readonly operations: string;
  readonly actions: readonly string[];
}

export interface DaxFact {
  readonly name: string;
  /** Such as `kmem` (system RAM) or `device_dax`; absent: none is bound. */
  readonly driver?: string;
}

/** A CXL memory device without a region, and what is known of whether its memory is in use all the same. */
export interface UnusedCxlDevice {
  readonly name: string;
  /**
   * `firmware`: firmware has set its decoders up, or made System RAM of a CXL window that no region has; `none`: neither is so;
   * `unknown`: it cannot be seen.
   */
  readonly setUpBy: 'firmware' | 'none' | 'unknown';
  /** What says so. */
  readonly evidence: Evidence;
}

/** Memory of a node by whether the kernel may put what cannot move there. */
export interface NodeZones {
  readonly nodeId: number;
  readonly movableBytes: number;
  readonly otherBytes: number;
}

/** Who looks: the daemon at itself, or a command at the host. */
export type Looker = 'daemon' | 'command';

/** All that the doctor knows of a host. */
export interface HostFacts extends KnownDamon {
  readonly looker: Looker;
  readonly files: Readonly<Record<FactName, Fact>>;
  /** Undefined: they could not be looked at. */
  readonly kdamonds: readonly KdamondFact[] | undefined;
  /** Text: why it could not be made out. */
  readonly topology: Topology | string;
  readonly zones: readonly NodeZones[];
  /** Memory devices on the CXL bus that no region uses. */
  readonly unusedCxlDevices: readonly UnusedCxlDevice[];
  /** CXL regions that are not committed. */
  readonly uncommittedRegions: readonly string[];
  readonly daxDevices: readonly DaxFact[];
  /** Memory blocks that are offline, by node. */
  readonly offlineBlocks: ReadonlyMap<number, readonly number[]>;
}
