import type { FastifyReply } from 'fastify';
import type { Static } from 'typebox';
import Type from 'typebox';
import type { Policy } from '../../tiering/policy.ts';
import { PolicySchema } from '../../tiering/policy.ts';
import { chooseRepresentation } from '../content.ts';
import { POLICY_SOURCES } from '../policy/layers.ts';
import type { OperatorSettings, PolicyPreview } from '../policy/operator-settings.ts';
import { PlanChangeSchema } from '../policy/plan-changes.ts';
import type { Preconditions } from '../policy/preconditions.ts';
import { namesWeakly } from '../policy/preconditions.ts';
import { policyText } from '../text/policy-text.ts';
import { warnOfChange, warnOfWait } from '../warning-header.ts';
import type { Api, ApiContext } from './context.ts';
import { changeResponses, columnsOf, responses, TEXT_QUERY } from './context.ts';
import { sendText } from './send-text.ts';

const flag = (description: string) =>
  Type.Optional(Type.Union([Type.Literal('true'), Type.Literal('false')], { description }));

const GetQuerySchema = Type.Object(
  { ...TEXT_QUERY, sources: flag('And where each value comes from.') },
  { additionalProperties: false },
);

const ChangeQuerySchema = Type.Object(
  { dryRun: flag('Only tell what would change in the kernel; nothing does.') },
  { additionalProperties: false },
);

const GetHeadersSchema = Type.Object({
  'if-none-match': Type.Optional(Type.String({ description: 'ETags: 304 when the policy still has one of them.' })),
});

const ChangeHeadersSchema = Type.Object({
  'if-match': Type.Optional(Type.String({ description: 'ETags: 412 when the policy has none of them any more.' })),
  'if-none-match': Type.Optional(Type.String({ description: 'ETags: 412 when the policy has one of them.' })),
});

const WithSourcesSchema = Type.Object({
  policy: PolicySchema,
  sources: Type.Record(Type.String(), Type.Enum([...POLICY_SOURCES]), {
    description: 'By key, such as "promotion.minAccessRate".',
  }),
});

const PreviewSchema = Type.Object({
  policy: PolicySchema,
  changes: Type.Immutable(Type.Array(PlanChangeSchema, { description: 'What would change in kdamonds and schemes.' })),
});

/**
 * GET /v1/policy; PATCH with a JSON merge patch and PUT with all that REST shall say. Bodies have no schema of their own: what they make of the policy is
 * checked whole.
 */
export function policyRoutes(api: Api, { settings, service }: ApiContext): void {
  const get = {
    querystring: GetQuerySchema,
    headers: GetHeadersSchema,
    response: responses(Type.Union([PolicySchema, WithSourcesSchema])),
  };
  api.get('/v1/policy', { schema: get }, (request, reply) => {
    const { format, sources } = request.query;
    const [policy, where] = [settings.policy(), settings.sources()];
    const { accept, 'if-none-match': known } = request.headers;
    const wanted = chooseRepresentation(format, accept);
    tag(reply, settings);
    // fastify knows that this status has no body.
    if (wanted === 'json' && known !== undefined && namesWeakly(known, settings.etag())) sendText(reply.code(304), '');
    else if (wanted === 'text') sendText(reply, policyText(policy, where, columnsOf(request.query)));
    else reply.send(sources === 'true' ? { policy, sources: where } : policy);
  });

  /** The policy in force; while it is pending, the one that was asked for. Whether a condition holds shows when its turn has come: that is waited for. */
  const changed = async (
    reply: FastifyReply,
    wanted: Policy,
    change: Promise<Policy>,
    { ifMatch, ifNoneMatch }: Preconditions,
  ): Promise<Policy> => {
    const isConditional = ifMatch !== undefined || ifNoneMatch !== undefined;
    const policy = await (isConditional ? change : settings.soon(change));
    if (policy === undefined) {
      warnOfWait(reply);
      return wanted;
    }
    tag(reply, settings);
    warnOfChange(reply, settings, service.status().scopeProblem);
    return policy;
  };
  const change = {
    querystring: ChangeQuerySchema,
    headers: ChangeHeadersSchema,
    response: changeResponses(Type.Union([PolicySchema, PreviewSchema])),
  };
  api.patch('/v1/policy', { schema: change }, async (request, reply) => {
    const preconditions = preconditionsOf(request.headers);
    if (request.query.dryRun === 'true')
      return previewed(reply, await settings.previewPatch(request.body, preconditions));
    return changed(reply, settings.patched(request.body), settings.patch(request.body, preconditions), preconditions);
  });
  api.put('/v1/policy', { schema: change }, async (request, reply) => {
    const preconditions = preconditionsOf(request.headers);
    if (request.query.dryRun === 'true')
      return previewed(reply, await settings.previewPut(request.body, preconditions));
    return changed(reply, settings.replaced(request.body), settings.put(request.body, preconditions), preconditions);
  });
}

function previewed(
  reply: FastifyReply,
  { scopeProblem, ...preview }: PolicyPreview,
): Omit<PolicyPreview, 'scopeProblem'> {
  warnOfChange(reply, {}, scopeProblem);
  return preview;
}

function tag(reply: FastifyReply, settings: OperatorSettings): void {
  reply.header('etag', settings.etag());
}

function preconditionsOf(headers: Static<typeof ChangeHeadersSchema>): Preconditions {
  return { ifMatch: headers['if-match'], ifNoneMatch: headers['if-none-match'] };
}
