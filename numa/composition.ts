import type { CxlRegion, DaxDevice } from './cxl.ts';
import type { PhysicalMap } from './iomem.ts';
import type { NodeMemory } from './meminfo.ts';
import type { MemoryBlock } from './memory-blocks.ts';
import { isDeviceMemory } from './memory-kind.ts';
import { pageSizeFrom } from './page-size.ts';
import { migrationPaths } from './paths.ts';
import { intersectRanges, mergeRanges, rangesBytes } from './ranges.ts';
import { arrangeTiers } from './tiers.ts';
import type { AddressRange, CxlBacking, MemoryNode, NodeKind, NodePerformance, Topology } from './topology.ts';
import type { Zone } from './zoneinfo.ts';
import { highWatermarks, zoneSpans } from './zoneinfo.ts';

/** What the kernel's files say about one node with memory. */
export interface NodeFacts {
  readonly nodeId: number;
  readonly cpus: readonly number[];
  readonly memory: NodeMemory;
  readonly distances: ReadonlyMap<number, number>;
  readonly performance?: NodePerformance;
  readonly onlineBlocks: readonly MemoryBlock[];
}

/** What the kernel's files say about the machine. */
export interface MachineFacts {
  readonly nodes: readonly NodeFacts[];
  readonly possibleNodeIds: readonly number[];
  /** Nodes with CPUs, those without memory too. */
  readonly cpuNodeIds: readonly number[];
  readonly zones: readonly Zone[];
  /** Undefined where the kernel hides physical addresses. */
  readonly physicalMap: PhysicalMap | undefined;
  readonly cxlRegions: readonly CxlRegion[];
  readonly daxDevices: readonly DaxDevice[];
  /** Node ids by tier, fast to slow. */
  readonly kernelTiers: readonly (readonly number[])[];
  /** What could not be read or understood and counts as absent. */
  readonly warnings: readonly string[];
}

/** What is known of the machine beside what the kernel says. */
export interface DiscoveryOptions {
  /** Node ids by tier, fast to slow; nodes not named stay out of tiering. Overrides the kernel's tiers. */
  readonly tiers?: readonly (readonly number[])[];
  /** What was measured of nodes; counts where firmware tells nothing. Looked at anew in each discovery. */
  readonly measured?: ReadonlyMap<number, NodePerformance>;
}

/** The topology that follows from the facts. Throws TierConfigurationError. */
export function composeTopology(facts: MachineFacts, { tiers: configured, measured }: DiscoveryOptions = {}): Topology {
  const watermarks = highWatermarks(facts.zones, pageSizeOf(facts));
  const nodes = facts.nodes.map((node) => ({
    ...composeNode(node, facts, watermarks.get(node.nodeId) ?? 0),
    ...performanceOf(node, measured),
  }));
  const { tiers, source } = arrangeTiers(nodes, {
    kernel: facts.kernelTiers,
    ...(configured !== undefined && { configured }),
    possibleNodeIds: facts.possibleNodeIds,
    cpuNodeIds: facts.cpuNodeIds,
  });
  return {
    nodes,
    tiers,
    tierSource: source,
    paths: migrationPaths(nodes, tiers),
    rangeSource: facts.physicalMap === undefined ? 'memory-blocks' : 'iomem',
    ...(facts.warnings.length > 0 && { warnings: facts.warnings }),
  };
}

function pageSizeOf({ nodes, zones }: MachineFacts): number {
  return pageSizeFrom(new Map(nodes.map(({ nodeId, memory }) => [nodeId, memory])), zones);
}

function composeNode(node: NodeFacts, machine: MachineFacts, highWatermarkBytes: number): MemoryNode {
  const ranges = nodeRanges(node, machine);
  const backings = node.cpus.length > 0 ? [] : cxlBackings(node.nodeId, ranges, machine);
  const [first, ...further] = backings;
  const driver = node.cpus.length > 0 ? undefined : driverOf(ranges, machine);
  return {
    nodeId: node.nodeId,
    kind: nodeKind(node, ranges, backings, machine),
    ...(driver !== undefined && { driver }),
    cpus: node.cpus,
    totalBytes: node.memory.totalBytes,
    freeBytes: node.memory.freeBytes,
    highWatermarkBytes,
    distances: node.distances,
    ranges,
    ...(first !== undefined && { cxl: first }),
    ...(further.length > 0 && { furtherCxl: further }),
  };
}

function performanceOf(
  { nodeId, performance }: NodeFacts,
  measurements: DiscoveryOptions['measured'],
): Pick<MemoryNode, 'performance' | 'measured'> {
  const measured = measurements?.get(nodeId);
  const known = performance ?? measured;
  return { ...(known && { performance: known }), ...(measured && { measured }) };
}

function nodeKind(
  { cpus }: NodeFacts,
  ranges: readonly AddressRange[],
  backings: readonly CxlBacking[],
  { physicalMap }: MachineFacts,
): NodeKind {
  if (cpus.length > 0) return 'dram';
  if (backings.length > 0) return 'cxl';
  // Expanders the firmware set up have no region where the CXL drivers are not loaded, but lie in a CXL window.
  const bytes = rangesBytes(ranges);
  const inWindows = rangesBytes(intersectRanges(ranges, physicalMap?.cxlWindows ?? []));
  return bytes > 0 && inWindows === bytes ? 'cxl' : 'memory-only';
}

/** The driver that added memory of a node without CPUs. One that is a device's is told before `kmem`: it must not be missed. */
function driverOf(ranges: readonly AddressRange[], { physicalMap }: MachineFacts): string | undefined {
  const drivers = [...(physicalMap?.driverRam ?? [])]
    .filter(([, ram]) => intersectRanges(ranges, mergeRanges(ram)).length > 0)
    .map(([driver]) => driver);
  return drivers.find((driver) => isDeviceMemory({ kind: 'memory-only', driver })) ?? drivers[0];
}

/** CXL regions of a node: those its dax devices are made of or lie in, and those its addresses lie in. */
function cxlBackings(
  nodeId: number,
  ranges: readonly AddressRange[],
  { cxlRegions, daxDevices }: MachineFacts,
): readonly CxlBacking[] {
  const ownDax = daxDevices.filter(({ targetNodeId }) => targetNodeId === nodeId);
  return cxlRegions.flatMap(({ range, ...region }) => {
    const overlaps = (other: readonly AddressRange[]) =>
      range !== undefined && intersectRanges([range], other).length > 0;
    const dax = ownDax.find(
      (device) => device.region === region.region || overlaps(device.range ? [device.range] : []),
    );
    if (dax === undefined && !overlaps(ranges)) return [];
    return [{ ...region, ...(dax !== undefined && { daxDevice: dax.name }) }];
  });
}

/** Online blocks cut to System RAM. A block that two nodes share is cut to what each node's zones span. */
function nodeRanges(node: NodeFacts, machine: MachineFacts): readonly AddressRange[] {
  const ofOthers = new Set(
    machine.nodes
      .filter(({ nodeId }) => nodeId !== node.nodeId)
      .flatMap(({ onlineBlocks }) => onlineBlocks.map(({ index }) => index)),
  );
  const shared = node.onlineBlocks.filter(({ index }) => ofOthers.has(index));
  const ranges = [
    ...node.onlineBlocks.filter(({ index }) => !ofOthers.has(index)),
    ...intersectRanges(shared, zoneSpans(machine.zones, node.nodeId, pageSizeOf(machine))),
  ];
  return machine.physicalMap === undefined
    ? mergeRanges(ranges)
    : intersectRanges(ranges, machine.physicalMap.systemRam);
}
