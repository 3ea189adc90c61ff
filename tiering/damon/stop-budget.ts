/**
 * Within this time the daemon has given DAMON back, as far as it answers. The unit's TimeoutStopSec and the manifest for Kubernetes leave a little more: whoever
 * kills the daemon earlier leaves kdamonds on that would have been switched off.
 */
export const STOP_BUDGET_MS = 20_000;

/** What each part of giving DAMON back may take of the budget; putting settings back has what is left. */
export const SLICES = {
  /** Kdamonds that nothing is asked of, all at once. */
  free: 0.4,
  /** Those that something is asked of, whether they answer or hang. */
  busy: 0.2,
  /** What was under way. */
  underWay: 0.1,
} as const;
