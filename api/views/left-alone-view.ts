import Type from 'typebox';
import { LEFT_ALONE_REASONS } from '../../numa/left-alone.ts';

/** Of the topology and the status. */
export const LeftAloneSchema = Type.Immutable(
  Type.Array(
    Type.Object({
      nodeId: Type.Integer(),
      reason: Type.Enum([...LEFT_ALONE_REASONS], {
        description:
          "device: its memory is a device's; unknown-speed: nothing tells whether it is slower or faster than others.",
      }),
      tiersLine: Type.String({ description: 'What to configure to have it used as the slowest memory.' }),
      message: Type.String(),
    }),
    { description: 'Nodes that nothing is moved to or from though nobody configured that.' },
  ),
);
