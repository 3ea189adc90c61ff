import Type from 'typebox';
import type { InterleaveOrder } from '../tiering/interleave/interleave.ts';
import { InvalidInterleaveError } from './errors.ts';
import { compileCheck } from './schema/check.ts';

const WeightSchema = Type.Integer({ minimum: 1, maximum: 255 });

/** Body of PATCH /v1/interleave. */
export const InterleaveRequestSchema = Type.Object(
  {
    weights: Type.Union(
      [
        Type.Literal('kernel'),
        Type.Literal('recommended'),
        // Names by themselves: in an OpenAPI document patterns of properties do not survive.
        Type.Record(Type.String(), WeightSchema, {
          minProperties: 1,
          propertyNames: { pattern: '^(0|[1-9][0-9]{0,3})$' },
        }),
      ],
      {
        title: '"kernel", "recommended", or weights from 1 to 255 by node id, such as {"0": 3, "1": 1}',
        description: 'kernel: auto, or 1 each where the kernel has no auto. Nodes left out keep their weight.',
      },
    ),
  },
  { additionalProperties: false, examples: [{ weights: { '0': 3, '1': 1 } }] },
);

const checkShape = compileCheck(InterleaveRequestSchema);

/** The order that a request's body gives. Throws InvalidInterleaveError, which names everything that is wrong. */
export function interleaveOrder(body: unknown): InterleaveOrder {
  const checked = checkShape(body);
  if (!checked.ok) throw new InvalidInterleaveError(checked.violations);
  const { weights } = checked.value;
  if (typeof weights === 'string') return weights;
  return Object.entries(weights).map(([nodeId, weight]) => ({ nodeId: Number(nodeId), weight }));
}
