/** `degraded`: see `problem`; `aside`: DAMON is left to others, see `problem`; `paused`: by order; `moving`: some scheme may move memory; `settled`: none need. */
export const ENGINE_STATES = ['starting', 'paused', 'moving', 'settled', 'degraded', 'aside', 'stopped'] as const;
export type EngineState = (typeof ENGINE_STATES)[number];
