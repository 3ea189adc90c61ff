import { readNodeMemory } from '../node-memory.ts';
import type { SysFs } from '../sysfs.ts';
import { readLargestCache } from './caches.ts';
import { ProbeError } from './errors.ts';
import type { Measure } from './measurement.ts';
import type { ProbeCandidate } from './plan.ts';
import { planProbe } from './plan.ts';
import type { ProbeReport, ProbeResult, SkippedNode } from './result.ts';

export interface ProbeOptions {
  readonly sysfs: SysFs;
  readonly measure: Measure;
  /** Ends a measurement under way. */
  readonly signal?: AbortSignal | undefined;
  /** Called with what is being done, for people. */
  readonly onProgress?: ((text: string) => void) | undefined;
  readonly now?: () => Date;
}

const MIB = 2 ** 20;

/**
 * Measures one memory node out of all, from the CPUs nearest to it; it takes about 2 s and at most 512 MiB of the node. Throws
 * ProbeError with the reason when that is not possible, SysFsError, KernelFormatError.
 */
export async function probeNode(
  nodeId: number,
  all: readonly ProbeCandidate[],
  { sysfs, measure, signal, onProgress, now = () => new Date() }: ProbeOptions,
): Promise<ProbeResult> {
  const known = all.find((node) => node.nodeId === nodeId);
  const memory = (await readNodeMemory(sysfs, [nodeId])).get(nodeId);
  if (known === undefined || memory === undefined) throw new ProbeError(nodeId, 'there is no such memory node');
  // Free as it is now: the topology may be old.
  const largestCache = await readLargestCache(sysfs, all.flatMap(({ cpus }) => cpus)[0] ?? 0);
  const plan = planProbe({ ...known, freeBytes: memory.freeBytes }, all, largestCache);
  if ('skipReason' in plan) throw new ProbeError(nodeId, plan.skipReason);
  const { bufferBytes, initiatorNodeIds, cpus } = plan;
  onProgress?.(`node ${nodeId}: measuring with ${bufferBytes / MIB} MiB from the CPUs of node ${initiatorNodeIds[0]}`);
  const measurement = await measure({ nodeId, bufferBytes, cpus }, signal);
  return { nodeId, ...measurement, bufferBytes, initiatorNodeIds, takenAt: now().toISOString() };
}

/**
 * Measures memory nodes one after another, so that they do not disturb each other. A node that cannot be measured is in the
 * report with the reason. Throws SysFsError, KernelFormatError, and an AbortError at the signal.
 */
export async function probeNodes(all: readonly ProbeCandidate[], options: ProbeOptions): Promise<ProbeReport> {
  const nodes: ProbeResult[] = [];
  const skipped: SkippedNode[] = [];
  for (const { nodeId } of all) {
    try {
      nodes.push(await probeNode(nodeId, all, options));
    } catch (error) {
      if (!(error instanceof ProbeError)) throw error;
      skipped.push({ nodeId, reason: error.reason });
      options.onProgress?.(`node ${nodeId}: skipped: ${error.reason}`);
    }
  }
  return { nodes, skipped };
}
