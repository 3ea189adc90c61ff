/**
 * What counts of touched pages tell of their future. With y(T) the share of pages touched within T, one that was touched in a window is touched again in the next with
 * the chance 2 - y(2T)/y(T), and one that was not is touched in the next with the chance 1 - (1-y(2T))/(1-y(T)). Where all pages are equally hot both are y(T).
 */

/** Share of memory that was touched within a window. */
export interface Touched {
  readonly share: number;
  readonly windowMs: number;
}

/** The chance that a page touched within the first of two windows counted is touched again in one of that length. 0: not known. */
export function touchedAgain([once, longer]: readonly Touched[]): number {
  if (once === undefined || longer === undefined || once.share <= 0) return 0;
  return within01(2 - (1 - untouchedInTwo(once, longer)) / once.share);
}

/** The chance that a page not touched within the first of two windows counted is touched in another of that length. 1: not known. */
export function touchedAfterNone([once, longer]: readonly Touched[]): number {
  if (once === undefined || longer === undefined || once.share >= 1) return 1;
  return within01(1 - untouchedInTwo(once, longer) / (1 - once.share));
}

/** Share of pages that stay untouched for twice the first window. Passes come late, so the second is not just that: between the two, pages are taken to be touched at an even rate. */
function untouchedInTwo(once: Touched, longer: Touched): number {
  const untouched = Math.max(1e-9, 1 - once.share);
  const further = once.windowMs / Math.max(1, longer.windowMs - once.windowMs);
  return untouched * (Math.max(1e-9, 1 - longer.share) / untouched) ** further;
}

function within01(share: number): number {
  return Math.min(1, Math.max(0, share));
}
