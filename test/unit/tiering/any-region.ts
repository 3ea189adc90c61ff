import type { ReachBounds } from '../../../tiering/tuner/reach.ts';

/** Bounds of an order for tests that do not care which regions it takes. */
export const ANY_REGION: ReachBounds = { minNrAccesses: 0, maxNrAccesses: 20, minAge: 0, checkYoung: false };
