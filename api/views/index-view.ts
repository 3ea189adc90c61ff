import type { Static } from 'typebox';
import Type from 'typebox';
import { OPERATIONS } from '../openapi/operations.ts';

export const IndexSchema = Type.Object({
  name: Type.Literal('tierd'),
  version: Type.String(),
  description: Type.String({ description: 'The path of the OpenAPI document, which has every parameter and schema.' }),
  resources: Type.Array(
    Type.Object({
      path: Type.String(),
      summary: Type.String({ description: 'What GET answers, or else what the first method does.' }),
      methods: Type.Array(Type.String()),
    }),
  ),
});

export type IndexView = Static<typeof IndexSchema>;

/** Every resource of the API, in a line each. */
export function indexView(version: string): IndexView {
  const byPath = new Map<string, { summary: string; methods: string[] }>();
  for (const [name, { summary }] of OPERATIONS) {
    const [method = '', path = ''] = name.split(' ');
    const resource = byPath.get(path) ?? { summary, methods: [] };
    resource.methods.push(method);
    byPath.set(path, resource);
  }
  return {
    name: 'tierd',
    version,
    description: '/openapi.json',
    resources: [...byPath].map(([path, resource]) => ({ path, ...resource })),
  };
}
