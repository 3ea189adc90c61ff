import type { Static } from 'typebox';
import Type from 'typebox';
import { InvalidQueryError } from '../errors.ts';
import { wrongValue } from '../schema/violation.ts';
import type { RegionSelection } from '../views/region-selection.ts';
import { REGION_ORDERS } from '../views/region-selection.ts';
import { TEXT_QUERY } from './context.ts';
import { NodeIdSchema } from './node-query.ts';

// A query is text; nothing is converted before it is checked.
const query = (title: string, pattern: string, description: string) =>
  Type.Optional(Type.String({ title, pattern, description }));
const share = (description: string) =>
  query('a number from 0 to 1', '^(0(\\.[0-9]{1,6})?|1(\\.0{1,6})?)$', description);
const seconds = (description: string) =>
  query('a number from 0 to 999999999', '^(0|[1-9][0-9]{0,8})(\\.[0-9]{1,3})?$', description);

/** The query of GET /v1/snapshot. */
export const SnapshotQuerySchema = Type.Object(
  {
    ...TEXT_QUERY,
    nodeId: NodeIdSchema,
    minAccessRate: share('Only regions at least this share of whose samples saw an access.'),
    maxAccessRate: share('Only regions at most this share of whose samples saw an access.'),
    minAgeSeconds: seconds('Only regions whose access rate has been about the same at least so long.'),
    maxAgeSeconds: seconds('Only regions whose access rate has been about the same at most so long.'),
    minSizeBytes: query(
      'a whole number from 0 to 999999999999999',
      '^(0|[1-9][0-9]{0,14})$',
      'Only regions at least so large.',
    ),
    sort: Type.Optional(
      Type.Union(
        REGION_ORDERS.map((order) => Type.Literal(order)),
        { description: 'Which regions come first, and stay when there is a limit.' },
      ),
    ),
    limit: query(
      'a whole number from 1 to 999999',
      '^[1-9][0-9]{0,5}$',
      'Most regions shown of a node: the first by `sort`, or else the hottest, in the order of their addresses.',
    ),
  },
  { additionalProperties: false },
);

type SnapshotQuery = Static<typeof SnapshotQuerySchema>;

/** What a checked query selects. Throws InvalidQueryError for a range that no region can be in. */
export function regionSelection(asked: SnapshotQuery): RegionSelection {
  const [minAccessRate, maxAccessRate] = range(asked, 'minAccessRate', 'maxAccessRate');
  const [minAgeSeconds, maxAgeSeconds] = range(asked, 'minAgeSeconds', 'maxAgeSeconds');
  const { minSizeBytes, sort, limit } = asked;
  return {
    ...(minAccessRate !== undefined && { minAccessRate }),
    ...(maxAccessRate !== undefined && { maxAccessRate }),
    ...(minAgeSeconds !== undefined && { minAgeSeconds }),
    ...(maxAgeSeconds !== undefined && { maxAgeSeconds }),
    ...(minSizeBytes !== undefined && { minSizeBytes: Number(minSizeBytes) }),
    ...(sort !== undefined && { sort }),
    limit: limit === undefined ? Number.POSITIVE_INFINITY : Number(limit),
  };
}

type Bound = 'minAccessRate' | 'maxAccessRate' | 'minAgeSeconds' | 'maxAgeSeconds';

function range(asked: SnapshotQuery, leastKey: Bound, mostKey: Bound): [number | undefined, number | undefined] {
  const [least, most] = [asked[leastKey], asked[mostKey]];
  if (least !== undefined && most !== undefined && Number(most) < Number(least)) {
    throw new InvalidQueryError([wrongValue([mostKey], most, `at least ${leastKey}, which is ${least}`)]);
  }
  return [least === undefined ? undefined : Number(least), most === undefined ? undefined : Number(most)];
}
