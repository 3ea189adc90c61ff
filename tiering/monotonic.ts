/** CLOCK_MONOTONIC, the clock of the access trace, in milliseconds. */
export function monotonicMs(): number {
  return Number(process.hrtime.bigint()) / 1e6;
}
