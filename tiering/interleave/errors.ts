/** This kernel has no weighted interleaving. */
export class InterleaveUnavailableError extends Error {
  readonly code = 'TIERD_INTERLEAVE_UNAVAILABLE';

  constructor() {
    super('this kernel has no /sys/kernel/mm/mempolicy/weighted_interleave: that takes Linux 6.9 or later, with NUMA');
    this.name = 'InterleaveUnavailableError';
  }
}

/** No one source tells the bandwidth of every node, so no weights can be computed. */
export class BandwidthUnknownError extends Error {
  readonly code = 'TIERD_BANDWIDTH_UNKNOWN';

  constructor() {
    super('the bandwidth of some memory node is not known: measure them with POST /v1/probe first');
    this.name = 'BandwidthUnknownError';
  }
}

/** Weights were asked for nodes that the kernel has none for; nothing was changed. */
export class InterleaveNodeError extends Error {
  readonly code = 'TIERD_INTERLEAVE_INVALID';
  readonly nodeId: number;
  readonly allowed: string;

  constructor(nodeId: number, nodeIds: readonly number[]) {
    const allowed = `left out: the kernel has weights of nodes ${nodeIds.join(', ')}`;
    super(`node ${nodeId} must be ${allowed}`);
    this.name = 'InterleaveNodeError';
    this.nodeId = nodeId;
    this.allowed = allowed;
  }
}
