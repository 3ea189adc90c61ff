import { once } from 'node:events';
import { setTimeout as sleep } from 'node:timers/promises';
import type { EventLog } from '../../tiering/events/event-log.ts';
import { TooManyEventClientsError } from '../errors.ts';
import type { EventFormat } from './event-format.ts';
import { EventStream } from './event-stream.ts';

export const MAX_EVENT_CLIENTS = 8;
const HEARTBEAT_MS = 15_000;
/** For clients to take the last of what there is, at the end of the daemon. */
const CLOSING_MS = 300;

/** The clients that follow the events; so many at most. */
export class EventClients {
  readonly #log: EventLog;
  readonly #heartbeatMs: number;
  readonly #streams = new Set<EventStream>();

  constructor(log: EventLog, heartbeatMs = HEARTBEAT_MS) {
    this.#log = log;
    this.#heartbeatMs = heartbeatMs;
  }

  get size(): number {
    return this.#streams.size;
  }

  /**
   * A stream of the events after the one with this id (Last-Event-ID); undefined: of those that are still to come. An id that is not of
   * this run of the daemon: of all that are kept. Throws TooManyEventClientsError.
   */
  open(format: EventFormat, lastEventId: string | undefined, onTooSlow: () => void): EventStream {
    if (this.#streams.size >= MAX_EVENT_CLIENTS) throw new TooManyEventClientsError(MAX_EVENT_CLIENTS);
    const after = lastEventId === undefined ? this.#log.last : this.#sequenceOf(lastEventId);
    const stream = new EventStream({ log: this.#log, format, after, heartbeatMs: this.#heartbeatMs, onTooSlow });
    this.#streams.add(stream);
    stream.once('close', () => this.#streams.delete(stream));
    return stream;
  }

  /** Ends all streams, and gives their clients a moment to see it. */
  async close(): Promise<void> {
    const closed = [...this.#streams].map(async (stream) => {
      stream.end();
      await once(stream, 'close');
    });
    await Promise.race([Promise.all(closed), sleep(CLOSING_MS, undefined, { ref: false })]);
  }

  #sequenceOf(id: string): number {
    const [, runId, digits] = /^([0-9a-f]{8})-([0-9]{1,15})$/.exec(id) ?? [];
    const sequence = Number(digits);
    return runId === this.#log.runId && sequence <= this.#log.last ? sequence : 0;
  }
}
