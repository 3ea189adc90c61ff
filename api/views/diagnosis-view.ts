import type { Static } from 'typebox';
import Type from 'typebox';
import { SEVERITIES } from '../../tiering/doctor/finding.ts';

/** GET /v1/diagnosis. */
export const DiagnosisSchema = Type.Object({
  worst: Type.Enum([...SEVERITIES], { description: 'The worst severity of all findings.' }),
  findings: Type.Immutable(
    Type.Array(
      Type.Object({
        id: Type.String({ description: 'Stable, such as "numa-balancing".' }),
        severity: Type.Enum([...SEVERITIES], {
          description: 'ok: as it should be; unseen: could not be looked at; the others in rising urgency.',
        }),
        title: Type.String(),
        evidence: Type.Immutable(Type.Array(Type.Object({ file: Type.String(), value: Type.String() }))),
        remedy: Type.Optional(Type.String({ description: 'The command that mends it, or what to do.' })),
      }),
      { description: 'The worst first.' },
    ),
  ),
});

export type DiagnosisBody = Static<typeof DiagnosisSchema>;
