/**
 * Whether exchanges do what they are for. What hot memory is worth to the fast node was only estimated, region by region: where hot and cold pages, or pages
 * that cannot move, share a region, exchanges may go on for ever and gain nothing. The fast node's share of all accesses seen tells the truth.
 */
export interface ExchangeGain {
  /** The fast node's share of the heat seen, smoothed; undefined: nothing was seen yet. */
  readonly fastShare: number | undefined;
  readonly episode: Episode | undefined;
  readonly holdUntilMs: number;
  readonly holdMs: number;
  /** What failed were exchanges by rate alone: single pages that nobody touches may still go. */
  readonly holdsRatesOnly: boolean;
}

interface Episode {
  readonly wasByRate: boolean;
  readonly startShare: number;
  /** By how much the share should have risen for what has moved. */
  readonly expectedGain: number;
  /** The same without what moved so lately that it may not be seen yet. */
  readonly dueGains: readonly number[];
}

export const NO_EXCHANGE_GAIN: ExchangeGain = {
  fastShare: undefined,
  episode: undefined,
  holdUntilMs: 0,
  holdMs: 0,
  holdsRatesOnly: false,
};

export interface ExchangeSeen {
  readonly nowMs: number;
  /** Heat seen by the newest aggregations: bytes times share of samples. */
  readonly fastHeat: number;
  readonly slowHeat: number;
  /** What was promoted since the last look, in exchange for colder memory. */
  readonly promotedBytes: number;
  /** By how much hotter it should be than what went down, in shares of samples. */
  readonly heatDifference: number;
  /** The last order went by the regions' rates alone, whatever single pages had been touched. */
  readonly isByRate: boolean;
}

const SMOOTHING = 0.35;
/** Looks after which a move shows in the share. */
const LOOKS_UNTIL_SEEN = 4;
/** Less cannot be told from noise. */
const JUDGED_GAIN = 0.01;
/** What is tried after a hold: enough to be judged. */
const TRIED_GAIN = 0.015;
/** Of what was expected. Pages that nobody touched lie among hot ones, and what is gained shows less. */
const LEAST_GAINED = 0.25;
const LEAST_GAINED_BY_PAGE = 0.1;
const FIRST_HOLD_MS = 60_000;
const NEXT_HOLD = 4;
const MAX_HOLD_MS = 1_800_000;

/** The gain after another look; while `nowMs < holdUntilMs` no exchange should be ordered. Each hold in a row is longer. Pure. */
export function watchExchangeGain(before: ExchangeGain, seen: ExchangeSeen): ExchangeGain {
  const heat = seen.fastHeat + seen.slowHeat;
  if (heat <= 0) return before;
  const share = seen.fastHeat / heat;
  const fastShare = before.fastShare === undefined ? share : before.fastShare + SMOOTHING * (share - before.fastShare);
  const looked = { ...before, fastShare };
  if (seen.nowMs < before.holdUntilMs) return { ...looked, episode: undefined };
  const episode = before.episode ?? { wasByRate: false, startShare: fastShare, expectedGain: 0, dueGains: [] };
  const wasByRate = episode.wasByRate || seen.isByRate;
  const gains = [...episode.dueGains, (seen.promotedBytes * seen.heatDifference) / heat];
  const due = gains.length > LOOKS_UNTIL_SEEN ? (gains[0] ?? 0) : 0;
  const expectedGain = episode.expectedGain + due;
  const dueGains = gains.slice(-LOOKS_UNTIL_SEEN);
  if (expectedGain < JUDGED_GAIN) {
    // Nothing is under way: what the share does meanwhile is the programs' doing.
    const isIdle = expectedGain + dueGains.reduce((sum, gain) => sum + gain, 0) === 0;
    return { ...looked, episode: isIdle ? undefined : { ...episode, wasByRate, expectedGain, dueGains } };
  }
  const least = (wasByRate ? LEAST_GAINED : LEAST_GAINED_BY_PAGE) * expectedGain;
  if (fastShare - episode.startShare >= least) {
    return {
      ...looked,
      holdMs: 0,
      episode: { wasByRate: seen.isByRate, startShare: fastShare, expectedGain: 0, dueGains },
    };
  }
  const holdMs = Math.min(MAX_HOLD_MS, Math.max(FIRST_HOLD_MS, before.holdMs * NEXT_HOLD));
  return { fastShare, episode: undefined, holdMs, holdUntilMs: seen.nowMs + holdMs, holdsRatesOnly: wasByRate };
}

/** What may be exchanged now: after a hold only as much as it takes to see whether exchanges gain anything again. */
export function exchangeLimit(
  { holdMs, episode }: ExchangeGain,
  seen: Pick<ExchangeSeen, 'fastHeat' | 'slowHeat' | 'heatDifference'>,
): number {
  if (holdMs === 0 || seen.heatDifference === 0) return Number.POSITIVE_INFINITY;
  const underWay = (episode?.expectedGain ?? 0) + (episode?.dueGains ?? []).reduce((sum, gain) => sum + gain, 0);
  return (Math.max(0, TRIED_GAIN - underWay) * (seen.fastHeat + seen.slowHeat)) / seen.heatDifference;
}
