/** Numbers in [0, 1). */
export type Random = () => number;

/** A deterministic generator (mulberry32): the same seed gives the same run on every machine. */
export function seededRandom(seed: number): Random {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}

/** Successes in `trials` tries of probability `chance`. */
export function binomial(trials: number, chance: number, random: Random): number {
  if (chance <= 0) return 0;
  if (chance >= 1) return trials;
  const odds = chance / (1 - chance);
  const needle = random();
  let probability = (1 - chance) ** trials;
  let cumulated = probability;
  let successes = 0;
  while (needle > cumulated && successes < trials) {
    probability *= (odds * (trials - successes)) / (successes + 1);
    cumulated += probability;
    successes += 1;
  }
  return successes;
}
