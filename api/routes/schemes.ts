import { SchemesSchema, schemesView } from '../views/schemes-view.ts';
import type { Api, ApiContext } from './context.ts';
import { NoQuerySchema, responses } from './context.ts';

/** GET /v1/schemes: the kdamonds and schemes that tierd runs, with their statistics. */
export function schemesRoute(api: Api, { service }: ApiContext): void {
  const schema = { querystring: NoQuerySchema, response: responses(SchemesSchema) };
  api.get('/v1/schemes', { schema }, () => schemesView(service.schemes()));
}
