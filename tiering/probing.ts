import { discoverTopology } from '../numa/discover.ts';
import { nodesLeftAlone } from '../numa/left-alone.ts';
import { isDeviceMemory } from '../numa/memory-kind.ts';
import { readNodeMemory } from '../numa/node-memory.ts';
import type { Measure, Measurement } from '../numa/probe/measurement.ts';
import { probeNodes } from '../numa/probe/probe.ts';
import type { ProbeReport, ProbeResult } from '../numa/probe/result.ts';
import type { SysFs } from '../numa/sysfs.ts';
import type { NodePerformance, Topology } from '../numa/topology.ts';
import { ProbeRunningError } from './errors.ts';
import type { Logger } from './logger.ts';

/** A result, and the size by which the node is known again after a restart. */
export interface RememberedProbe extends ProbeResult {
  readonly nodeBytes: number;
}

/** What probing needs of the process around it. */
export interface ProbingParts {
  readonly measure: Measure;
  /** What an earlier process measured, if anything. */
  readonly load: () => Promise<readonly RememberedProbe[] | undefined>;
  /** Durable once it resolves. */
  readonly save: (results: readonly RememberedProbe[]) => Promise<void>;
}

/** Does its work while nothing else moves memory. */
export type Quietly = (work: () => Promise<Measurement>) => Promise<Measurement>;

/** A node whose size differs by more is another one; by less it does from kernel to kernel. */
const SAME_SIZE_SHARE = 0.1;

/** Measures memory nodes when it is asked to, and remembers what it measured. */
export class Probing {
  readonly #sysfs: SysFs;
  readonly #parts: ProbingParts;
  readonly #logger: Logger;
  readonly #remembered = new Map<number, RememberedProbe>();
  readonly #measured = new Map<number, NodePerformance>();
  #running = false;

  constructor(sysfs: SysFs, parts: ProbingParts, logger: Logger) {
    this.#sysfs = sysfs;
    this.#parts = parts;
    this.#logger = logger;
  }

  /** By node id; the same map for good, so that each discovery sees what is newest. */
  get measured(): ReadonlyMap<number, NodePerformance> {
    return this.#measured;
  }

  /** Takes in what an earlier process measured, as far as the nodes are still the same. Throws SysFsError. */
  async restore(): Promise<void> {
    const remembered = (await this.#parts.load()) ?? [];
    const same = await stillSame(this.#sysfs, remembered);
    for (const probe of remembered) {
      if (same.includes(probe)) this.#remember(probe);
      else this.#logger.info({ nodeId: probe.nodeId }, 'what was measured of this node is forgotten: its size changed');
    }
  }

  /**
   * Measures all memory nodes. Throws ProbeRunningError, SysFsError, and an AbortError at the signal.
   *
   * @param quietly each node is measured in it
   */
  async probe(quietly: Quietly, signal: AbortSignal): Promise<ProbeReport> {
    if (this.#running) throw new ProbeRunningError();
    this.#running = true;
    try {
      const { nodes: all } = await discoverTopology(this.#sysfs);
      const nodes = all.filter((node) => !isDeviceMemory(node));
      const measure: Measure = (request, until) => quietly(() => this.#parts.measure(request, until));
      const report = await probeNodes(nodes, { sysfs: this.#sysfs, measure, signal });
      for (const result of report.nodes) {
        const nodeBytes = nodes.find(({ nodeId }) => nodeId === result.nodeId)?.totalBytes ?? 0;
        this.#remember({ ...result, nodeBytes });
      }
      for (const { nodeId, reason } of report.skipped) this.#logger.warn({ nodeId }, `node not measured: ${reason}`);
      await this.#save();
      return report;
    } finally {
      this.#running = false;
    }
  }

  /**
   * The topology as `discover` finds it; where neither firmware nor kind says in which tier a node belongs, nodes are measured first, once and for all.
   * Throws what `discover` throws; when measuring fails, that is only logged.
   */
  async discover(discover: () => Promise<Topology>, signal: AbortSignal): Promise<Topology> {
    const topology = await discover();
    const count = needsMeasuring(topology);
    if (count === 0) return topology;
    this.#logger.info({}, `nothing tells which of ${count} memory nodes is slower: measuring them, some 2 s each`);
    try {
      await this.probe((work) => work(), signal);
    } catch (error) {
      if (signal.aborted) throw error;
      this.#logger.warn({ err: error }, 'the memory nodes could not be measured');
      return topology;
    }
    return discover();
  }

  /** Figures that a full disk does not take count all the same, until the daemon ends. */
  async #save(): Promise<void> {
    try {
      await this.#parts.save([...this.#remembered.values()]);
    } catch (error) {
      const reason = error instanceof Error ? error.message : String(error);
      this.#logger.warn({ reason }, 'what was measured is not saved, and is forgotten at the end');
    }
  }

  #remember(probe: RememberedProbe): void {
    this.#remembered.set(probe.nodeId, probe);
    this.#measured.set(probe.nodeId, performanceOf(probe));
  }
}

/** How many nodes are to be measured to make tiers of them, none where that is settled. Pure. */
function needsMeasuring(topology: Topology): number {
  if (topology.tierSource === 'configured') return 0;
  const nodes = topology.nodes.filter((node) => !isDeviceMemory(node));
  const isLeftAlone = nodesLeftAlone(topology).some(({ reason }) => reason === 'unknown-speed');
  const isUndecided = topology.tiers.length < 2 && nodes.some(({ performance }) => performance === undefined);
  return nodes.length > 1 && (isLeftAlone || isUndecided) ? nodes.length : 0;
}

/** What was measured of nodes that are still the same, by node id. Throws SysFsError. */
export async function recall(
  sysfs: SysFs,
  remembered: readonly RememberedProbe[],
): Promise<ReadonlyMap<number, NodePerformance>> {
  const same = await stillSame(sysfs, remembered);
  return new Map(same.map((probe) => [probe.nodeId, performanceOf(probe)]));
}

async function stillSame(sysfs: SysFs, remembered: readonly RememberedProbe[]): Promise<readonly RememberedProbe[]> {
  const memory = await readNodeMemory(
    sysfs,
    remembered.map(({ nodeId }) => nodeId),
  );
  return remembered.filter(({ nodeId, nodeBytes }) => {
    const totalBytes = memory.get(nodeId)?.totalBytes ?? 0;
    return Math.abs(totalBytes - nodeBytes) <= nodeBytes * SAME_SIZE_SHARE;
  });
}

function performanceOf(probe: RememberedProbe): NodePerformance {
  const { readLatencyNs, readBandwidthMiBps, writeBandwidthMiBps, initiatorNodeIds } = probe;
  return { source: 'probe', readLatencyNs, readBandwidthMiBps, writeBandwidthMiBps, initiatorNodeIds };
}
