import { TopologySchema, topologyView } from '../views/topology-view.ts';
import type { Api, ApiContext } from './context.ts';
import { NoQuerySchema, responses } from './context.ts';

/** GET /v1/topology: memory nodes, tiers, CXL devices and migration paths. */
export function topologyRoute(api: Api, { service }: ApiContext): void {
  const schema = { querystring: NoQuerySchema, response: responses(TopologySchema) };
  api.get('/v1/topology', { schema }, () => topologyView(service.topology()));
}
