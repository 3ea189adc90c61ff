/**
 * What the machine looks like: memory nodes, their tiers, their CXL devices, and the paths memory can take between tiers.
 * Pure types; `discover.ts` reads them from the kernel, `tiers.ts` and `paths.ts` derive the rest.
 */

/** `dram`: a node with CPUs; `cxl`: its memory comes from a CXL region; `memory-only`: no CPU and not known to be CXL. */
export type NodeKind = 'dram' | 'cxl' | 'memory-only';

/** A physical address range, `start` inclusive, `end` exclusive, in bytes. Physical addresses stay below 2^52: a double holds them. */
export interface AddressRange {
  readonly start: number;
  readonly end: number;
}

/** `hmat`: firmware tells (HMAT/CDAT, `accessN/initiators`); `probe`: tierd measured, see `probe/`. */
export type PerformanceSource = 'hmat' | 'probe';

/** Access figures from a node's nearest initiator. Those of one source can be compared, those of two cannot. */
export interface NodePerformance {
  readonly source: PerformanceSource;
  readonly readLatencyNs?: number;
  readonly writeLatencyNs?: number;
  readonly readBandwidthMiBps?: number;
  readonly writeBandwidthMiBps?: number;
  /** Nodes whose CPUs are the nearest to this memory, for whom the figures hold. */
  readonly initiatorNodeIds?: readonly number[];
}

/** A CXL memory device (`/sys/bus/cxl/devices/memN`). */
export interface CxlMemoryDevice {
  readonly name: string;
  readonly sizeBytes: number;
  readonly serial?: string;
  readonly numaNode?: number;
}

/** How CXL memory became a node: its region and dax device. */
export interface CxlBacking {
  readonly region: string;
  readonly daxDevice?: string;
  readonly sizeBytes: number;
  readonly interleaveWays: number;
  readonly interleaveGranularityBytes?: number;
  readonly devices: readonly CxlMemoryDevice[];
}

export interface MemoryNode {
  readonly nodeId: number;
  readonly kind: NodeKind;
  /** The driver that added the memory as its own (`kmem`, `virtio_mem`, a GPU's); absent: firmware's plain memory, or not known. */
  readonly driver?: string;
  readonly cpus: readonly number[];
  readonly totalBytes: number;
  readonly freeBytes: number;
  /** Sum of the zones' `high` watermarks (/proc/zoneinfo): below it migrations into the node fail silently. */
  readonly highWatermarkBytes: number;
  /** Distance to every node id (SLIT), 10 = local. */
  readonly distances: ReadonlyMap<number, number>;
  /** What counts: firmware's figures, or where there are none what was measured. */
  readonly performance?: NodePerformance;
  /** What was measured, whatever firmware tells. */
  readonly measured?: NodePerformance;
  /** Online System RAM of the node, sorted, neighbours merged. */
  readonly ranges: readonly AddressRange[];
  /** The CXL region the memory comes from; absent when the firmware set it up without the kernel's region driver. */
  readonly cxl?: CxlBacking;
  /** Further regions, where several make up one node (one window of the firmware is one node). */
  readonly furtherCxl?: readonly CxlBacking[];
}

/** 0 is the fastest tier. */
export interface MemoryTier {
  readonly rank: number;
  readonly nodeIds: readonly number[];
}

/** Where the order of the tiers comes from. */
export type TierSource = 'kernel' | 'derived' | 'configured';

/**
 * Where the nodes' physical ranges come from. `memory-blocks`: /proc/iomem hid its addresses (no CAP_SYS_ADMIN), so the
 * ranges are whole memory blocks and may hold firmware holes.
 */
type RangeSource = 'iomem' | 'memory-blocks';

/** Where a node's memory goes: up when hot, down when cold. The first target is the one to prefer; the others follow when it has no room. */
export interface MigrationPath {
  readonly nodeId: number;
  /** All nodes of faster tiers: those of the next tier first, the nearest of a tier first. */
  readonly promotionTargets: readonly number[];
  /** All nodes of slower tiers, in the same order. */
  readonly demotionTargets: readonly number[];
}

export interface Topology {
  /** Nodes with memory, by ascending id. Memory-less nodes are left out. */
  readonly nodes: readonly MemoryNode[];
  readonly tiers: readonly MemoryTier[];
  readonly tierSource: TierSource;
  /** One entry for each node in `nodes`; no targets for a node that is in no tier. */
  readonly paths: readonly MigrationPath[];
  readonly rangeSource?: RangeSource;
  /** What the kernel says that could not be read or understood and counts as absent, a sentence each. */
  readonly warnings?: readonly string[];
}
