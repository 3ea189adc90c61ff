import type { NodeSnapshot } from '../../tiering/snapshot.ts';
import { chooseRepresentation } from '../content.ts';
import { snapshotText } from '../text/snapshot-text.ts';
import type { NodeView, SnapshotOptions } from '../views/snapshot-view.ts';
import { nodeView, SnapshotSchema, snapshotJson } from '../views/snapshot-view.ts';
import type { Api, ApiContext } from './context.ts';
import { columnsOf, responses } from './context.ts';
import { requireKnownNode } from './node-query.ts';
import { sendStream } from './send-stream.ts';
import { regionSelection, SnapshotQuerySchema } from './snapshot-query.ts';

/** GET /v1/snapshot: regions with access rate and age. */
export function snapshotRoute(api: Api, { service, nowMs }: ApiContext): void {
  const schema = { querystring: SnapshotQuerySchema, response: responses(SnapshotSchema) };
  api.get('/v1/snapshot', { schema }, (request, reply) => {
    const { format, nodeId } = request.query;
    const options = { policy: service.policy(), nowMs: nowMs(), selection: regionSelection(request.query) };
    const all = service.snapshots();
    requireKnownNode(
      nodeId,
      [...all, ...service.topology().nodes].map((node) => node.nodeId),
    );
    const nodes = nodeViews(
      all.filter((snapshot) => nodeId === undefined || snapshot.nodeId === Number(nodeId)),
      options,
    );
    const wanted = chooseRepresentation(format, request.headers.accept);
    if (wanted === 'text') sendStream(reply, 'text/plain', snapshotText(nodes, columnsOf(request.query)));
    else sendStream(reply, 'application/json', snapshotJson(nodes));
  });
}

/** One node at a time: choosing among ten thousand regions takes milliseconds, and other work has its turn between nodes. */
function* nodeViews(snapshots: readonly NodeSnapshot[], options: SnapshotOptions): Generator<NodeView> {
  for (const snapshot of snapshots) yield nodeView(snapshot, options);
}
