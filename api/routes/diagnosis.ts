import Type from 'typebox';
import { worstFirst, worstOf } from '../../tiering/doctor/finding.ts';
import { chooseRepresentation } from '../content.ts';
import { diagnosisText } from '../text/diagnosis-text.ts';
import { DiagnosisSchema } from '../views/diagnosis-view.ts';
import { settingsFindings } from '../views/settings-findings.ts';
import type { Api, ApiContext } from './context.ts';
import { columnsOf, responses, TEXT_QUERY } from './context.ts';
import { sendText } from './send-text.ts';

const QuerySchema = Type.Object({ ...TEXT_QUERY }, { additionalProperties: false });

/** GET /v1/diagnosis: what is wrong with this host, or might be, with evidence and the way out. */
export function diagnosisRoute(api: Api, { service, settings }: ApiContext): void {
  const schema = { querystring: QuerySchema, response: responses(DiagnosisSchema) };
  api.get('/v1/diagnosis', { schema }, async (request, reply) => {
    const findings = worstFirst([...settingsFindings(settings), ...(await service.diagnose())]);
    const diagnosis = { worst: worstOf(findings), findings };
    const wanted = chooseRepresentation(request.query.format, request.headers.accept);
    if (wanted === 'text') sendText(reply, diagnosisText(diagnosis, columnsOf(request.query)));
    else reply.send(diagnosis);
    return reply;
  });
}
