/** A node could not be measured, or what was measured is not that node. */
export class ProbeError extends Error {
  readonly code = 'TIERD_PROBE_FAILED';
  readonly nodeId: number;
  readonly reason: string;

  constructor(nodeId: number, reason: string, cause?: unknown) {
    super(`cannot measure node ${nodeId}: ${reason}`, { cause });
    this.name = 'ProbeError';
    this.nodeId = nodeId;
    this.reason = reason;
  }
}
