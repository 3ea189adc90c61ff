import { discoverTopology } from '../numa/discover.ts';
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
    const nodeIds = remembered.map(({ nodeId }) => nodeId);
    const memory = await readNodeMemory(this.#sysfs, nodeIds);
    for (const probe of remembered) {
      const totalBytes = memory.get(probe.nodeId)?.totalBytes ?? 0;
      if (Math.abs(totalBytes - probe.nodeBytes) <= probe.nodeBytes * SAME_SIZE_SHARE) this.#remember(probe);
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
      const { nodes } = await discoverTopology(this.#sysfs);
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
   * The topology as `discover` finds it; where neither firmware nor kind makes tiers of several nodes, they are measured first, once and for all.
   * Throws what `discover` throws; when measuring fails, that is only logged.
   */
  async discover(discover: () => Promise<Topology>, signal: AbortSignal): Promise<Topology> {
    const topology = await discover();
    const unknown = topology.nodes.filter(({ performance }) => performance === undefined);
    if (topology.tierSource === 'configured' || topology.tiers.length > 1) return topology;
    if (topology.nodes.length < 2 || unknown.length === 0) return topology;
    this.#logger.info(
      {},
      `nothing tells which of ${topology.nodes.length} memory nodes is slower: measuring them, some 2 s each`,
    );
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
    const { nodeId, readLatencyNs, readBandwidthMiBps, writeBandwidthMiBps, initiatorNodeIds } = probe;
    this.#remembered.set(nodeId, probe);
    this.#measured.set(nodeId, {
      source: 'probe',
      readLatencyNs,
      readBandwidthMiBps,
      writeBandwidthMiBps,
      initiatorNodeIds,
    });
  }
}
