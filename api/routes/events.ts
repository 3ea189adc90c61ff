import Type from 'typebox';
import { chooseRepresentation } from '../content.ts';
import { EventClients } from '../events/event-clients.ts';
import { eventLines, SERVER_SENT_EVENTS } from '../events/event-format.ts';
import type { Api, ApiContext } from './context.ts';
import { columnsOf, responses, TEXT_QUERY } from './context.ts';
import { sendReadable } from './send-stream.ts';

const QuerySchema = Type.Object({ ...TEXT_QUERY }, { additionalProperties: false });
const HeadersSchema = Type.Object({
  'last-event-id': Type.Optional(
    Type.String({ description: 'Events after this one; of another run of the daemon, or 0: all that are kept.' }),
  ),
});
const StreamSchema = Type.String({ description: 'Server-sent events, until client or daemon ends.' });

/** GET /v1/events: what happens, as it happens. */
export function eventsRoute(api: Api, { service }: ApiContext): void {
  const clients = new EventClients(service.events);
  // Before the server waits for answers to end, which these would not do.
  api.addHook('preClose', () => clients.close());
  const schema = { querystring: QuerySchema, headers: HeadersSchema, response: responses(StreamSchema) };
  // A HEAD would follow for ever.
  const options = { schema, exposeHeadRoute: false, config: { isEndless: true } };
  api.get('/v1/events', options, (request, reply) => {
    const wanted = chooseRepresentation(request.query.format, request.headers.accept);
    const format = wanted === 'text' ? eventLines(columnsOf(request.query)) : SERVER_SENT_EVENTS;
    const stream = clients.open(format, request.headers['last-event-id'], () =>
      request.log.info('a client that read events too slowly was dropped'),
    );
    sendReadable(reply, format.mediaType, stream);
  });
}
