import Type from 'typebox';
import { worstOf } from '../../tiering/doctor/finding.ts';
import { chooseRepresentation } from '../content.ts';
import { diagnosisText } from '../text/diagnosis-text.ts';
import { DiagnosisSchema } from '../views/diagnosis-view.ts';
import type { Api, ApiContext } from './context.ts';
import { columnsOf, responses, TEXT_QUERY } from './context.ts';
import { sendText } from './send-text.ts';

const QuerySchema = Type.Object({ ...TEXT_QUERY }, { additionalProperties: false });

/** GET /v1/diagnosis: what is wrong with this host, or might be, with evidence and the way out. */
export function diagnosisRoute(api: Api, { service }: ApiContext): void {
  const schema = { querystring: QuerySchema, response: responses(DiagnosisSchema) };
  api.get('/v1/diagnosis', { schema }, async (request, reply) => {
    const findings = await service.diagnose();
    const diagnosis = { worst: worstOf(findings), findings };
    const wanted = chooseRepresentation(request.query.format, request.headers.accept);
    if (wanted === 'text') sendText(reply, diagnosisText(diagnosis, columnsOf(request.query)));
    else reply.send(diagnosis);
    return reply;
  });
}
