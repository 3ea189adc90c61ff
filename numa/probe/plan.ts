import type { MemoryNode } from '../topology.ts';

/** How a node is measured, or why it is not. */
export type ProbePlan =
  | {
      readonly nodeId: number;
      readonly bufferBytes: number;
      /** The nodes nearest to it that have CPUs, and the CPUs of the first, which measure. */
      readonly initiatorNodeIds: readonly number[];
      readonly cpus: readonly number[];
    }
  | { readonly nodeId: number; readonly skipReason: string };

/** What a node must tell to be measured. */
export type ProbeCandidate = Pick<
  MemoryNode,
  'nodeId' | 'cpus' | 'freeBytes' | 'highWatermarkBytes' | 'distances' | 'cxl'
>;

const MIB = 2 ** 20;
const SMALLEST_BUFFER = 16 * MIB;
const USUAL_SMALLEST_BUFFER = 64 * MIB;
const USUAL_LARGEST_BUFFER = 128 * MIB;
const LARGEST_BUFFER = 512 * MIB;
/** A huge page. */
const GRANULE = 2 * MIB;

/**
 * Where and how large the buffer is: four times the largest cache within 64 to 128 MiB, and at least twice that cache, so that
 * what is measured is memory. Never more than half of what the node can spare: a bound buffer that does not fit is killed.
 */
export function planProbe(node: ProbeCandidate, all: readonly ProbeCandidate[], largestCacheBytes: number): ProbePlan {
  const { nodeId, freeBytes, highWatermarkBytes } = node;
  const [nearest, ...others] = nearestWithCpus(node, all);
  if (nearest === undefined) return { nodeId, skipReason: 'no node has CPUs to measure it from' };
  const usual = Math.min(Math.max(4 * largestCacheBytes, USUAL_SMALLEST_BUFFER), USUAL_LARGEST_BUFFER);
  const wanted = Math.min(Math.max(usual, 2 * largestCacheBytes), LARGEST_BUFFER);
  const spare = (freeBytes - highWatermarkBytes) / 2;
  const bufferBytes = Math.floor(Math.min(wanted, spare) / GRANULE) * GRANULE;
  const needed = Math.max(SMALLEST_BUFFER, Math.min(2 * largestCacheBytes, LARGEST_BUFFER));
  if (bufferBytes < needed) {
    const skipReason = `${mebibytes(freeBytes)} MiB are free, ${mebibytes(2 * needed + highWatermarkBytes)} MiB are needed to measure beyond the caches and leave half`;
    return { nodeId, skipReason };
  }
  return {
    nodeId,
    bufferBytes,
    initiatorNodeIds: [nearest, ...others].map((initiator) => initiator.nodeId),
    cpus: nearest.cpus,
  };
}

/** Where the expander is plugged in, if that is known; else what is nearest by distance, the node itself when it has CPUs. */
function nearestWithCpus(node: ProbeCandidate, all: readonly ProbeCandidate[]): readonly ProbeCandidate[] {
  const withCpus = all.filter(({ cpus }) => cpus.length > 0);
  const plugged = new Set(node.cxl?.devices.map(({ numaNode }) => numaNode));
  const attached = withCpus.filter(({ nodeId }) => plugged.has(nodeId));
  if (attached.length > 0) return attached;
  const distanceTo = ({ nodeId }: ProbeCandidate) => node.distances.get(nodeId) ?? Number.POSITIVE_INFINITY;
  const least = Math.min(...withCpus.map(distanceTo));
  return withCpus.filter((candidate) => distanceTo(candidate) === least);
}

function mebibytes(bytes: number): number {
  return Math.ceil(bytes / MIB);
}
