import { readHighWatermarks, readNodeMemory } from '../numa/node-memory.ts';
import type { SysFs } from '../numa/sysfs.ts';
import type { AccessTrace } from './damon/access-trace.ts';
import type { DamonDriver, RunningKdamond } from './damon/driver.ts';
import { EffectiveQuotas } from './effective-quotas.ts';
import type { Flow } from './flow-ledger.ts';
import { FlowLedger, NO_FLOW } from './flow-ledger.ts';
import { HeatMap } from './heat/heat-map.ts';
import type { NodeObservation, Observation } from './observation.ts';
import type { DesiredKdamond, SchemeStats } from './scheme.ts';
import type { NodeSnapshot, Region } from './snapshot.ts';
import { regionsWithin } from './snapshot.ts';
import { samplesIn } from './tuner/intervals.ts';

/** Watermarks change with hot-plug and sysctl only. */
const WATERMARKS_EVERY_MS = 10_000;

/** Gathers what a tick needs to know: snapshots from the access trace, node memory, what schemes moved. Reads, decides nothing. */
export class Observer {
  readonly #sysfs: SysFs;
  readonly #driver: DamonDriver;
  readonly #snapshots = new Map<number, NodeSnapshot>();
  readonly #stats = new Map<number, readonly SchemeStats[]>();
  readonly #heat = new Map<number, { readonly of: string; readonly map: HeatMap }>();
  readonly flows = new FlowLedger();
  readonly effectiveQuotas: EffectiveQuotas;
  #watermarks: ReadonlyMap<number, number> = new Map();
  #watermarksAtMs = Number.NEGATIVE_INFINITY;

  constructor(sysfs: SysFs, driver: DamonDriver) {
    this.#sysfs = sysfs;
    this.#driver = driver;
    this.effectiveQuotas = new EffectiveQuotas(driver);
  }

  /** Newest snapshot by node. */
  get snapshots(): ReadonlyMap<number, NodeSnapshot> {
    return this.#snapshots;
  }

  /** Scheme statistics by node, as last read. */
  get stats(): ReadonlyMap<number, readonly SchemeStats[]> {
    return this.#stats;
  }

  /** Takes in what the kernel has traced since the last call. */
  async drain(trace: AccessTrace): Promise<void> {
    const nodeByPid = new Map(this.#driver.kdamonds.map(({ pid, desired }) => [pid, desired]));
    for (const aggregation of await trace.drain()) {
      const kdamond = nodeByPid.get(aggregation.pid);
      if (kdamond === undefined) continue;
      const knownAtMs = this.#snapshots.get(kdamond.nodeId)?.takenAtMs;
      const takenAtMs = aggregation.tracedAtMs;
      // A trace that takes over from another shows the same once more.
      if (knownAtMs !== undefined && takenAtMs <= knownAtMs) continue;
      const previousAtMs = aggregation.previousAtMs ?? knownAtMs;
      const intervals = {
        samplingIntervalMs: kdamond.samplingIntervalUs / 1000,
        aggregationIntervalMs: kdamond.aggregationIntervalUs / 1000,
      };
      const snapshot: NodeSnapshot = {
        nodeId: kdamond.nodeId,
        takenAtMs,
        ...(previousAtMs !== undefined && { previousAtMs }),
        maxNrAccesses: samplesIn(intervals),
        aggregationIntervalMs: intervals.aggregationIntervalMs,
        regions: ownRegions(aggregation.regions, kdamond),
      };
      this.#snapshots.set(kdamond.nodeId, snapshot);
      this.#heatOf(kdamond).add(snapshot);
    }
  }

  /** Forgets a node that is monitored no more. */
  forget(nodeId: number): void {
    this.#snapshots.delete(nodeId);
    this.#stats.delete(nodeId);
    this.#heat.delete(nodeId);
    this.effectiveQuotas.forget(nodeId);
    this.flows.forget(nodeId);
  }

  /** What the schemes of these kdamonds have moved since the last call, by node; those that do not tell are given to `failed`. */
  async schemeFlows(
    kdamonds: readonly RunningKdamond[],
    nowMs: number,
    failed: (nodeId: number, error: unknown) => Promise<void>,
  ): Promise<ReadonlyMap<number, Flow>> {
    const flows = new Map<number, Flow>();
    for (const { index, desired } of kdamonds) {
      const stats = await this.#driver.stats(index).catch((error: unknown) => failed(desired.nodeId, error));
      if (stats === undefined) continue;
      this.#stats.set(desired.nodeId, stats);
      flows.set(desired.nodeId, this.flows.record(desired.nodeId, desired.schemes, stats, nowMs));
    }
    return flows;
  }

  /** Begins anew when memory has come or gone. */
  #heatOf({ nodeId, ranges }: DesiredKdamond): HeatMap {
    const of = ranges.map(({ start, end }) => `${start}-${end}`).join(' ');
    const known = this.#heat.get(nodeId);
    if (known?.of === of) return known.map;
    const map = new HeatMap(ranges);
    this.#heat.set(nodeId, { of, map });
    return map;
  }

  /**
   * All that one tick knows, with what the engine has moved since the last one. Throws SysFsError.
   *
   * @param blindNodeIds whose snapshots are too old to go by
   */
  async observe(
    nodeIds: readonly number[],
    flows: ReadonlyMap<number, Flow>,
    nowMs: number,
    blindNodeIds: readonly number[] = [],
  ): Promise<Observation> {
    if (nowMs - this.#watermarksAtMs > WATERMARKS_EVERY_MS) {
      this.#watermarks = await readHighWatermarks(this.#sysfs);
      this.#watermarksAtMs = nowMs;
    }
    // Last, so that free memory is as new as it can be.
    const memory = await readNodeMemory(this.#sysfs, nodeIds);
    const nodes: NodeObservation[] = [];
    for (const [nodeId, { totalBytes, freeBytes, movableBytes }] of memory) {
      if (totalBytes === 0) continue;
      const snapshot = blindNodeIds.includes(nodeId) ? undefined : this.#snapshots.get(nodeId);
      const heat = snapshot && this.#heat.get(nodeId)?.map.histogram();
      nodes.push({
        nodeId,
        totalBytes,
        freeBytes,
        highWatermarkBytes: this.#watermarks.get(nodeId) ?? 0,
        ...(movableBytes !== undefined && { movableBytes }),
        ...(snapshot && { snapshot }),
        ...(heat && { heat }),
        ...(flows.get(nodeId) ?? NO_FLOW),
      });
    }
    return { nowMs, nodes };
  }
}

/** Without what is watched only to compare with; regions may reach over the border. */
function ownRegions(regions: readonly Region[], { ranges, comparedRanges = [] }: DesiredKdamond): readonly Region[] {
  return comparedRanges.length === 0 ? regions : ranges.flatMap((range) => regionsWithin(regions, range));
}
