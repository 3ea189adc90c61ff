/** A pause of less is not worth a timer. */
const SHORTEST_PAUSE_MS = 2;

/** How long to pause so that work which has taken `cpuMs` of processor time in `elapsedMs` stays within a share of one core. */
export function pauseMs(cpuMs: number, elapsedMs: number, maxCpuShare: number): number {
  const pause = cpuMs / maxCpuShare - elapsedMs;
  return pause < SHORTEST_PAUSE_MS ? 0 : pause;
}
