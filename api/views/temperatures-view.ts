import Type from 'typebox';

export const TemperaturesSchema = Type.Object(
  { hotBytes: Type.Number(), warmBytes: Type.Number(), coldBytes: Type.Number() },
  {
    description: 'Bytes of a node by temperature under the policy in force; free and unmovable memory counts as cold.',
  },
);
