import { MAX_EVENT_CLIENTS } from '../../api/events/event-clients.ts';
import { EVENT_REFERENCE } from '../../api/events/event-reference.ts';
import { MAX_EVENTS } from '../../tiering/events/event-log.ts';
import { markdownTable } from '../markdown-table.ts';
import { code, page } from './page.ts';

/** docs/reference/events.md. */
export function eventsPage(): string {
  const rows = [...EVENT_REFERENCE].map(([type, { meaning, fields }]) => [
    code(type),
    meaning,
    Object.entries(fields)
      .map(([name, what]) => `${code(name)}: ${what}`)
      .join(' '),
  ]);
  return page(
    'Events',
    'the types of the events',
    `\`GET /v1/events\` answers with server-sent events, or with lines for a terminal (\`?format=text\`). \`tierd events\`
prints the same. Every event but \`gap\` has \`at\`, an ISO 8601 time, and \`message\`, a sentence for people.`,
    markdownTable(['Event', 'Meaning', 'Fields'], rows),
    `The daemon keeps the newest ${MAX_EVENTS} events. A client that sends the \`id\` of the last event it saw as
\`Last-Event-ID\` gets what it missed; browsers and SSE libraries do that. An id of another run of the daemon, or 0, gets
all events that are kept. A comment every 15 s shows that the connection is alive. ${MAX_EVENT_CLIENTS} clients may
follow; one more gets 429. There is no queue for each client: one that falls ${MAX_EVENTS} events behind, or reads
nothing for a minute, is dropped.`,
  );
}
