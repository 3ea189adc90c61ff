import type { SysFs } from '../../numa/sysfs.ts';
import type { Topology } from '../../numa/topology.ts';
import type { InterleaveWeights, NodeWeight } from '../../numa/weighted-interleave.ts';
import {
  readInterleaveWeights,
  resetInterleaveWeights,
  writeInterleaveWeights,
} from '../../numa/weighted-interleave.ts';
import { Serial } from '../serial.ts';
import { BandwidthUnknownError, InterleaveNodeError, InterleaveUnavailableError } from './errors.ts';
import type { Recommendation } from './recommend-weights.ts';
import { recommendWeights } from './recommend-weights.ts';

export interface InterleaveState extends InterleaveWeights {
  /** Absent when the nodes' bandwidths are not known. */
  readonly recommendation?: Recommendation;
}

/** `kernel`: as the kernel has them by itself; `recommended`: by bandwidth; or weights of some nodes. */
export type InterleaveOrder = 'kernel' | 'recommended' | readonly NodeWeight[];

/** The host's weights of weighted interleaving: a setting of the operator's, which outlives this process. */
export class Interleave {
  readonly #sysfs: SysFs;
  readonly #topology: () => Topology;
  readonly #serial = new Serial();

  constructor(sysfs: SysFs, topology: () => Topology) {
    this.#sysfs = sysfs;
    this.#topology = topology;
  }

  /** Throws InterleaveUnavailableError, SysFsError, KernelFormatError. */
  async read(): Promise<InterleaveState> {
    const weights = await readInterleaveWeights(this.#sysfs);
    if (weights === undefined) throw new InterleaveUnavailableError();
    const recommendation = recommendWeights(this.#topology().nodes);
    return recommendation === undefined ? weights : { ...weights, recommendation };
  }

  /**
   * Sets all of it or nothing, and gives what is there then. Throws as read(), and InterleaveNodeError,
   * BandwidthUnknownError.
   */
  set(order: InterleaveOrder): Promise<InterleaveState> {
    return this.#serial.run(async () => {
      const before = await this.read();
      if (order === 'kernel') await resetInterleaveWeights(this.#sysfs, before);
      else await writeInterleaveWeights(this.#sysfs, weightsFor(order, before), before);
      return this.read();
    });
  }
}

function weightsFor(order: 'recommended' | readonly NodeWeight[], before: InterleaveState): readonly NodeWeight[] {
  if (order === 'recommended' && before.recommendation === undefined) throw new BandwidthUnknownError();
  const weights = order === 'recommended' ? (before.recommendation?.weights ?? []) : order;
  const known = before.weights.map(({ nodeId }) => nodeId);
  const stranger = weights.find(({ nodeId }) => !known.includes(nodeId));
  if (stranger !== undefined) throw new InterleaveNodeError(stranger.nodeId, known);
  return weights;
}
