import Type from 'typebox';
import { chooseRepresentation } from '../content.ts';
import { snapshotText } from '../text/snapshot-text.ts';
import { nodeView, SnapshotSchema, snapshotJson } from '../views/snapshot-view.ts';
import type { Api, ApiContext } from './context.ts';
import { FormatSchema, responses } from './context.ts';
import { sendStream } from './send-stream.ts';

// A query is text; nothing is converted before it is checked.
const LimitSchema = Type.Optional(
  Type.String({
    title: 'a whole number from 1 to 999999',
    pattern: '^[1-9][0-9]{0,5}$',
    description: 'Most regions shown of a node: the hottest, in the order of their addresses. All by default.',
  }),
);

const QuerySchema = Type.Object({ format: FormatSchema, limit: LimitSchema }, { additionalProperties: false });

/** GET /v1/snapshot: every region with its access rate and age. */
export function snapshotRoute(api: Api, { service, nowMs }: ApiContext): void {
  const schema = { querystring: QuerySchema, response: responses(SnapshotSchema) };
  api.get('/v1/snapshot', { schema }, (request, reply) => {
    const limit = request.query.limit === undefined ? Number.POSITIVE_INFINITY : Number(request.query.limit);
    const options = { policy: service.policy(), nowMs: nowMs(), limit };
    const nodes = service.snapshots().map((snapshot) => nodeView(snapshot, options));
    const wanted = chooseRepresentation(request.query.format, request.headers.accept);
    if (wanted === 'text') sendStream(reply, 'text/plain', snapshotText(nodes));
    else sendStream(reply, 'application/json', snapshotJson(nodes));
  });
}
