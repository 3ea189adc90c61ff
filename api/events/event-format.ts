import type { EventType, RecordedEvent } from '../../tiering/events/event.ts';
import { formatLine } from '../text/columns.ts';
import { wrapped } from '../text/wrap.ts';

/** How events are written to a client. */
export interface EventFormat {
  readonly mediaType: string;
  /** What comes first, so that the client sees at once that it is connected. */
  readonly opening: string;
  event(event: RecordedEvent, runId: string): string;
  /** So many events were forgotten before this client asked for them. */
  gap(missedEvents: number): string;
  /** Shows that the connection lives; undefined: nothing does. */
  readonly heartbeat: string | undefined;
}

/** A client that lost the connection comes back after so long. */
const RETRY_MS = 2000;

/** Server-sent events (HTML Standard, 9.2). A gap has no id: the client's last one stays. */
export const SERVER_SENT_EVENTS: EventFormat = {
  mediaType: 'text/event-stream',
  opening: `retry: ${RETRY_MS}\n\n`,
  event({ sequence, ...event }, runId) {
    return `id: ${runId}-${sequence}\nevent: ${event.type}\ndata: ${JSON.stringify(event)}\n\n`;
  },
  gap(missedEvents) {
    return `event: gap\ndata: ${JSON.stringify({ type: 'gap', missedEvents })}\n\n`;
  },
  heartbeat: ':\n\n',
};

const COLUMNS = ['UTC', 'EVENT', 'WHAT'].map((title) => ({ title, align: 'left' as const }));
const LONGEST_TYPE: EventType = 'migration';
const WIDTHS = ['2026-11-23 19:30:02'.length, LONGEST_TYPE.length, 0];

/** Lines to read in a terminal. */
export const eventLines = (columns: number): EventFormat => ({
  mediaType: 'text/plain',
  opening: `${formatLine(
    COLUMNS,
    WIDTHS,
    COLUMNS.map(({ title }) => title),
    columns,
  )}\n`,
  event({ at, type, message }) {
    const when = at.slice(0, 19).replace('T', ' ');
    const line = `${when.padEnd(WIDTHS[0] ?? 0)}  ${type.padEnd(LONGEST_TYPE.length)}  ${printable(message)}`;
    return wrapped([line], columns);
  },
  gap(missedEvents) {
    return `${missedEvents} events before are no longer kept\n`;
  },
  heartbeat: undefined,
});

/** What could steer a terminal, as the name of a cgroup may, is not printed. */
function printable(text: string): string {
  return text.replaceAll(/\p{Cc}/gu, '?');
}
