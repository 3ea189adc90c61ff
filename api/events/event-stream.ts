import { Readable } from 'node:stream';
import type { EventLog } from '../../tiering/events/event-log.ts';
import type { EventFormat } from './event-format.ts';

const MAX_STALLED_BEATS = 4;

export interface EventStreamOptions {
  readonly log: EventLog;
  readonly format: EventFormat;
  /** The client has seen the events up to this one. */
  readonly after: number;
  readonly heartbeatMs: number;
  /** Called once when the client reads too slowly and is dropped. */
  readonly onTooSlow: () => void;
}

/**
 * The events for one client, from some event on and for ever. It keeps a place in the log rather than a queue of its own. A client
 * that is so slow that the log forgets what it has not read, or that takes nothing for four heartbeats, is dropped.
 */
export class EventStream extends Readable {
  readonly #options: EventStreamOptions;
  readonly #unsubscribe: () => void;
  readonly #beat: NodeJS.Timeout;
  /** The sequence sent last. */
  #sent: number;
  /** Whether the client can take more. */
  #isWanted = false;
  #stalledBeats = 0;

  constructor(options: EventStreamOptions) {
    super();
    const { log, format, after, heartbeatMs } = options;
    this.#options = options;
    this.push(format.opening);
    const missed = log.first - 1 - after;
    if (missed > 0) this.push(format.gap(missed));
    this.#sent = Math.max(after, log.first - 1);
    this.#unsubscribe = log.subscribe(() => this.#send());
    this.#beat = setInterval(() => this.#heartbeat(), heartbeatMs);
    this.#beat.unref();
  }

  /** Ends it in order: the client sees the end of the answer. */
  end(): void {
    this.#release();
    if (!this.readableEnded && !this.destroyed) this.push(null);
  }

  override _read(): void {
    this.#isWanted = true;
    this.#stalledBeats = 0;
    this.#send();
  }

  override _destroy(error: Error | null, done: (error?: Error | null) => void): void {
    this.#release();
    done(error);
  }

  #send(): void {
    const { log, format } = this.#options;
    if (this.#sent + 1 < log.first) {
      this.#drop();
      return;
    }
    while (this.#isWanted) {
      const event = log.after(this.#sent);
      if (event === undefined) return;
      this.#sent = event.sequence;
      this.#isWanted = this.push(format.event(event, log.runId));
    }
  }

  #heartbeat(): void {
    const { heartbeat } = this.#options.format;
    if (this.#isWanted && heartbeat !== undefined) this.#isWanted = this.push(heartbeat);
    else if (!this.#isWanted && ++this.#stalledBeats >= MAX_STALLED_BEATS) this.#drop();
  }

  #drop(): void {
    this.#release();
    this.#options.onTooSlow();
    this.destroy();
  }

  #release(): void {
    this.#unsubscribe();
    clearInterval(this.#beat);
  }
}
