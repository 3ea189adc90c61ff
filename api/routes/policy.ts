import { PolicySchema } from '../../tiering/policy.ts';
import { PolicyEditor } from '../policy-editor.ts';
import type { Api, ApiContext } from './context.ts';
import { NoQuerySchema, responses } from './context.ts';

/**
 * GET /v1/policy, and PATCH /v1/policy with a JSON merge patch. The patch has no schema of its own: what it makes of the
 * policy is checked whole.
 */
export function policyRoutes(api: Api, { service }: ApiContext): void {
  const schema = { querystring: NoQuerySchema, response: responses(PolicySchema) };
  api.get('/v1/policy', { schema }, () => service.policy());

  const editor = new PolicyEditor(service);
  api.patch('/v1/policy', { schema }, (request) => editor.patch(request.body));
}
