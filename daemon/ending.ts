import type { EventEmitter } from 'node:events';

/** Why the daemon ends: it was asked to, or something went wrong that nobody caught. */
export type Ending =
  | { readonly reason: 'signal'; readonly signal: string }
  | { readonly reason: 'error'; readonly error: unknown };

/** Watches for reasons to end from its making until it is released. */
export interface EndingWatch {
  /** Resolves with the first reason. */
  readonly first: Promise<Ending>;
  /** Calls the listener with every further reason: whoever asks twice does not want to wait. */
  onFurther(listener: (ending: Ending) => void): void;
  /** Stops watching: signals and errors do again what they do by default. */
  release(): void;
}

// SIGHUP too: a closed terminal must not leave DAMON behind.
const SIGNALS = ['SIGTERM', 'SIGINT', 'SIGHUP'];
const ERRORS = ['uncaughtException', 'unhandledRejection'];

/** Watches a process for reasons to end. */
export function watchForEnding(processEvents: EventEmitter): EndingWatch {
  let ended = false;
  let further: (ending: Ending) => void = () => undefined;
  let resolveFirst: (ending: Ending) => void = () => undefined;
  const first = new Promise<Ending>((resolve) => {
    resolveFirst = resolve;
  });
  const note = (ending: Ending): void => {
    if (ended) further(ending);
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
    onFurther: (listener) => {
      further = listener;
    },
    release: () => {
      for (const [name, listener] of listeners) processEvents.off(name, listener);
    },
  };
}
