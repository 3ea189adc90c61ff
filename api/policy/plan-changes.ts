import Type from 'typebox';
import type { DesiredKdamond } from '../../tiering/scheme.ts';
import { isJsonObject } from '../schema/json-schema.ts';

/** One value of a kdamond or of one of its schemes that a change of policy would change. */
export interface PlanChange {
  readonly nodeId: number;
  /** Absent: a value of the kdamond itself. */
  readonly scheme?: string;
  /** `pattern.nrAccesses.min`; empty: the scheme, or the kdamond, as a whole. */
  readonly key: string;
  /** null: is not there. */
  readonly before: unknown;
  readonly after: unknown;
}

export const PlanChangeSchema = Type.Object({
  nodeId: Type.Integer({ description: 'The memory node that the kdamond watches.' }),
  scheme: Type.Optional(Type.String({ description: 'Name of the scheme; absent: the kdamond itself.' })),
  key: Type.String({ description: 'Such as "quota.bytes"; empty: all of it comes or goes.' }),
  before: Type.Unknown({ description: 'null: is not there now.' }),
  after: Type.Unknown({ description: 'null: would not be there.' }),
});

/** What differs between two plans, kdamond by kdamond and scheme by scheme. Pure. */
export function planChanges(
  before: readonly DesiredKdamond[],
  after: readonly DesiredKdamond[],
): readonly PlanChange[] {
  const nodeIds = [...new Set([...before, ...after].map(({ nodeId }) => nodeId))].sort((a, b) => a - b);
  return nodeIds.flatMap((nodeId) => {
    const [was, is] = [before, after].map((plan) => plan.find((kdamond) => kdamond.nodeId === nodeId));
    if (was === undefined || is === undefined) {
      return [
        { nodeId, key: '', before: was === undefined ? null : 'watched', after: is === undefined ? null : 'watched' },
      ];
    }
    const { schemes: oldSchemes, ranges: _was, ...oldRest } = was;
    const { schemes: newSchemes, ranges: _is, ...newRest } = is;
    const names = [...new Set([...oldSchemes, ...newSchemes].map(({ name }) => name))];
    return [
      ...differences(oldRest, newRest).map((change) => ({ nodeId, ...change })),
      ...names.flatMap((scheme) => {
        const [old, next] = [oldSchemes, newSchemes].map((schemes) => schemes.find(({ name }) => name === scheme));
        return differences(old, next).map((change) => ({ nodeId, scheme, ...change }));
      }),
    ];
  });
}

function differences(before: unknown, after: unknown, key = ''): Pick<PlanChange, 'key' | 'before' | 'after'>[] {
  if (isJsonObject(before) && isJsonObject(after)) {
    return [...new Set([...Object.keys(before), ...Object.keys(after)])].flatMap((name) =>
      differences(before[name], after[name], key === '' ? name : `${key}.${name}`),
    );
  }
  const [was, is] = [shown(before), shown(after)];
  return JSON.stringify(was) === JSON.stringify(is) ? [] : [{ key, before: was, after: is }];
}

/** JSON has no word for what has no bound. */
function shown(value: unknown): unknown {
  if (value === Number.POSITIVE_INFINITY) return 'unbounded';
  return value ?? null;
}
