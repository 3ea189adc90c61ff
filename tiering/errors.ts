import { nodesLeftAlone } from '../numa/left-alone.ts';
import type { Topology } from '../numa/topology.ts';

/** The machine has no slower memory to demote to, so there is nothing for tierd to do. */
export class NoTiersError extends Error {
  readonly code = 'TIERD_NO_TIERS';

  constructor(topology: Topology) {
    const nodeIds = topology.nodes.map(({ nodeId }) => nodeId);
    const alone = nodesLeftAlone(topology);
    const told = alone.map(({ message }) => `${message[0]?.toUpperCase()}${message.slice(1)}. `).join('');
    const found =
      nodeIds.length === 1 ? `only memory node ${nodeIds[0]} has` : `memory nodes ${nodeIds.join(', ')} have`;
    super(
      `no memory tiers: ${found} memory, and none is ${alone.length > 0 ? 'known to be ' : ''}slower than another. ${told}tierd needs a CXL or other slower memory node online ` +
        '(see `cxl list -v`, `daxctl list`, `numactl -H`), or `tiers: [[0], [1]]` in its configuration. To see it work without such hardware: npm run demo',
    );
    this.name = 'NoTiersError';
  }
}

/** The memory nodes are being measured already. */
export class ProbeRunningError extends Error {
  readonly code = 'TIERD_PROBE_RUNNING';

  constructor() {
    super('a probe is under way: its results will be in GET /v1/topology');
    this.name = 'ProbeRunningError';
  }
}

/** The daemon ends: what would change DAMON is not done any more. */
export class StoppingError extends Error {
  readonly code = 'TIERD_STOPPING';

  constructor() {
    super('tierd is stopping');
    this.name = 'StoppingError';
  }
}
