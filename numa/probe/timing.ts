/** Nanoseconds on a clock that never goes back. */
export type ClockNs = () => number;

const NS_PER_MS = 1e6;
const FEWEST_ROUNDS = 3;

/**
 * The time of the fastest round, in nanoseconds. What else the machine does makes rounds slower, never faster. Rounds are
 * repeated until the time is over, and at least thrice.
 */
export function fastestRoundNs(round: () => void, budgetMs: number, clockNs: ClockNs): number {
  const endNs = clockNs() + budgetMs * NS_PER_MS;
  let fastest = Number.POSITIVE_INFINITY;
  for (let rounds = 0; rounds < FEWEST_ROUNDS || clockNs() < endNs; rounds++) {
    const startNs = clockNs();
    round();
    fastest = Math.min(fastest, clockNs() - startNs);
  }
  return fastest;
}
