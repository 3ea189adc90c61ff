/** Options of tests that show what must never happen: failing once in three runs is a fault, so they are not run again. */
export const ONCE = { retry: 0 } as const;
