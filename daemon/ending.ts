import type { EventEmitter } from 'node:events';

/** Why the daemon ends: it was asked to, or something went wrong that nobody caught. */
export type Ending =
  | { readonly reason: 'signal'; readonly signal: string }
  | { readonly reason: 'error'; readonly error: unknown };

export interface EndingWatch {
  /** Resolves with the first reason to end. */
  readonly first: Promise<Ending>;
  /** Stops watching. */
  release(): void;
}

// SIGHUP too: a closed terminal must not leave DAMON behind.
const SIGNALS = ['SIGTERM', 'SIGINT', 'SIGHUP'];
const ERRORS = ['uncaughtException', 'unhandledRejection'];

/**
 * Watches a process for reasons to end.
 *
 * @param onFurther called with every reason after the first: whoever asks twice does not want to wait
 */
export function watchForEnding(processEvents: EventEmitter, onFurther: (ending: Ending) => void): EndingWatch {
  let ended = false;
  let resolveFirst: (ending: Ending) => void = () => undefined;
  const first = new Promise<Ending>((resolve) => {
    resolveFirst = resolve;
  });
  const note = (ending: Ending): void => {
    if (ended) onFurther(ending);
    ended = true;
    resolveFirst(ending);
  };
  const listeners = new Map<string, (reason: unknown) => void>([
    ...SIGNALS.map((signal) => [signal, () => note({ reason: 'signal', signal })] as const),
    ...ERRORS.map((name) => [name, (error: unknown) => note({ reason: 'error', error })] as const),
  ]);
  for (const [name, listener] of listeners) processEvents.on(name, listener);
  return {
    first,
    release: () => {
      for (const [name, listener] of listeners) processEvents.off(name, listener);
    },
  };
}
