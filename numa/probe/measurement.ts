/** What to measure, how, and on which CPUs. */
export interface MeasureRequest {
  readonly nodeId: number;
  readonly bufferBytes: number;
  readonly cpus: readonly number[];
}

/** What one thread measured of one memory node. */
export interface Measurement {
  /** Of one load that waits for the one before, at random addresses. */
  readonly readLatencyNs: number;
  /** Sequential, of one thread: a lower bound of what the node gives. */
  readonly readBandwidthMiBps: number;
  readonly writeBandwidthMiBps: number;
}

/** Measures a node without blocking the event loop. Throws ProbeError, and an AbortError at the signal. */
export type Measure = (request: MeasureRequest, signal?: AbortSignal) => Promise<Measurement>;
