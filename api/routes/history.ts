import Type from 'typebox';
import { chooseRepresentation } from '../content.ts';
import { historyText } from '../text/history-text.ts';
import { HistorySchema, historyJson, historyView } from '../views/history-view.ts';
import type { Api, ApiContext } from './context.ts';
import { columnsOf, responses, TEXT_QUERY } from './context.ts';
import { NodeIdSchema, requireKnownNode } from './node-query.ts';
import { sendStream } from './send-stream.ts';

const DEFAULT_SINCE_SECONDS = 600;
/** As many steps by default, so that the answer fits a screen. */
const DEFAULT_STEPS = 60;

// A query is text; nothing is converted before it is checked. 86400 s are a day, which is what is kept.
const SecondsPattern = '^([1-9][0-9]{0,3}|[1-7][0-9]{4}|8[0-5][0-9]{3}|86[0-3][0-9]{2}|86400)$';
const seconds = (description: string) =>
  Type.Optional(Type.String({ title: 'a whole number from 1 to 86400', pattern: SecondsPattern, description }));

const QuerySchema = Type.Object(
  {
    ...TEXT_QUERY,
    sinceSeconds: seconds('From how long ago; 600 by default.'),
    stepSeconds: seconds('Length of a step, at least; a sixtieth of the whole by default.'),
    nodeId: NodeIdSchema,
  },
  { additionalProperties: false },
);

/** GET /v1/history: utilization, temperatures, what moved and what might have, over the last hours. */
export function historyRoute(api: Api, { service, nowMs }: ApiContext): void {
  const schema = { querystring: QuerySchema, response: responses(HistorySchema) };
  api.get('/v1/history', { schema }, (request, reply) => {
    const { format, sinceSeconds, stepSeconds, nodeId } = request.query;
    const since = Number(sinceSeconds ?? DEFAULT_SINCE_SECONDS);
    const step = Number(stepSeconds ?? Math.ceil(since / DEFAULT_STEPS));
    const now = nowMs();
    const answer = service.history({ sinceMs: since * 1000, stepMs: step * 1000 });
    const known = [...answer.nodes, ...service.topology().nodes].map((node) => node.nodeId);
    requireKnownNode(nodeId, known);
    const nodes = answer.nodes.filter((node) => nodeId === undefined || node.nodeId === Number(nodeId));
    const history = historyView({ ...answer, nodes }, since, { nowMs: now, dateMs: Date.now() });
    if (chooseRepresentation(format, request.headers.accept) === 'text') {
      sendStream(reply, 'text/plain', historyText(history, columnsOf(request.query)));
    } else {
      sendStream(reply, 'application/json', historyJson(history));
    }
  });
}
