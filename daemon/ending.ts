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
  /** Calls the listener with every SIGHUP, also with one that came already, where that does not end the process. */
  onHangup(listener: () => void): void;
  /** Stops watching: signals and errors do again what they do by default. */
  release(): void;
}

const SIGNALS = ['SIGTERM', 'SIGINT'];
const HANGUP = 'SIGHUP';
const ERRORS = ['uncaughtException', 'unhandledRejection'];

/**
 * Watches a process for reasons to end.
 *
 * @param hasTerminal SIGHUP says then that the terminal was closed, which must not leave DAMON behind; otherwise it asks to read the configuration again
 */
export function watchForEnding(processEvents: EventEmitter, hasTerminal: boolean): EndingWatch {
  let ended = false;
  let hungUp = false;
  let onHangup: (() => void) | undefined;
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
  const hangup = (): void => {
    if (onHangup === undefined) hungUp = true;
    else onHangup();
  };
  const listeners = new Map<string, (reason: unknown) => void>([
    ...SIGNALS.map((signal) => [signal, () => note({ reason: 'signal', signal })] as const),
    [HANGUP, () => (hasTerminal ? note({ reason: 'signal', signal: HANGUP }) : hangup())],
    ...ERRORS.map((name) => [name, (error: unknown) => note({ reason: 'error', error })] as const),
  ]);
  for (const [name, listener] of listeners) processEvents.on(name, listener);
  return {
    first,
    onFurther: (listener) => {
      further = listener;
    },
    onHangup: (listener) => {
      onHangup = listener;
      if (hungUp) listener();
    },
    release: () => {
      for (const [name, listener] of listeners) processEvents.off(name, listener);
    },
  };
}
