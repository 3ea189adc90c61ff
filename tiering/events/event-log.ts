import { randomBytes } from 'node:crypto';
import type { RecordedEvent, TieringEvent } from './event.ts';

/** About a megabyte when all messages are as long as they may be. */
export const MAX_EVENTS = 1000;
const MAX_MESSAGE_LENGTH = 1000;

/**
 * The newest events, for listeners and for those who come later. Listeners are told that there is something and read it at their own
 * pace: what they have not read waits here, once for all of them, and is forgotten when it is too old.
 */
export class EventLog {
  /** Tells the sequences of this run of the daemon from those of another. */
  readonly runId = randomBytes(4).toString('hex');
  /** The event with sequence n lies at n modulo the size. */
  readonly #events: RecordedEvent[] = [];
  readonly #listeners = new Set<() => void>();
  #last = 0;

  /** Sequence of the newest event; 0: there was none. */
  get last(): number {
    return this.#last;
  }

  /** Sequence of the oldest event that is kept. */
  get first(): number {
    return Math.max(1, this.#last - MAX_EVENTS + 1);
  }

  publish(event: TieringEvent, at = new Date()): void {
    const message = event.message.slice(0, MAX_MESSAGE_LENGTH);
    this.#last++;
    this.#events[this.#last % MAX_EVENTS] = { ...event, message, sequence: this.#last, at: at.toISOString() };
    for (const listener of this.#listeners) listener();
  }

  /** The event that followed this one; undefined: none has yet, or it is no longer kept. */
  after(sequence: number): RecordedEvent | undefined {
    const event = this.#events[(sequence + 1) % MAX_EVENTS];
    return event?.sequence === sequence + 1 ? event : undefined;
  }

  /** Calls the listener after every event, until the returned function is called. The listener must not throw. */
  subscribe(listener: () => void): () => void {
    this.#listeners.add(listener);
    return () => void this.#listeners.delete(listener);
  }
}
