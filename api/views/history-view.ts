import type { Static } from 'typebox';
import Type from 'typebox';
import type { HistoryAnswer, HistoryPoint } from '../../tiering/history/history.ts';
import { TemperaturesSchema } from './temperatures-view.ts';

const PointSchema = Type.Object({
  at: Type.String({ description: 'Beginning of the step, ISO 8601.' }),
  totalBytes: Type.Number(),
  usedBytes: Type.Number({ description: 'Mean of the step.' }),
  usedShare: Type.Number({ description: '0 to 1.' }),
  temperatures: Type.Optional(TemperaturesSchema),
  promotedBytes: Type.Number({ description: 'Moved out of this node within the step, to a faster one.' }),
  demotedBytes: Type.Number({ description: 'Moved out of this node within the step, to a slower one.' }),
  promotionQuotaBytes: Type.Number({ description: 'Most that one pass might promote, mean of the step; 0: off.' }),
  demotionQuotaBytes: Type.Number({ description: 'Most that one pass might demote, mean of the step; 0: off.' }),
});

const NodeHistorySchema = Type.Object({
  nodeId: Type.Integer(),
  promotedBytes: Type.Number({ description: 'Over all points.' }),
  demotedBytes: Type.Number({ description: 'Over all points.' }),
  points: Type.Array(PointSchema, { description: 'Oldest first; steps in which nothing was seen are missing.' }),
});

/** GET /v1/history. */
export const HistorySchema = Type.Object({
  sinceSeconds: Type.Integer(),
  stepSeconds: Type.Integer({ description: 'What was asked for, rounded up to what is kept so far back.' }),
  nodes: Type.Array(NodeHistorySchema, { description: 'Nodes that have a past, by id.' }),
});

export type HistoryBody = Static<typeof HistorySchema>;
export type PointBody = HistoryBody['nodes'][number]['points'][number];

export interface HistoryMoment {
  /** The clock of the points. */
  readonly nowMs: number;
  /** The day's time at that moment, in milliseconds since 1970. */
  readonly dateMs: number;
}

/** The history with the day's times, as this moment sees them. */
export function historyView(
  history: HistoryAnswer,
  sinceSeconds: number,
  { nowMs, dateMs }: HistoryMoment,
): HistoryBody {
  const sum = (points: readonly HistoryPoint[], key: 'promotedBytes' | 'demotedBytes'): number =>
    points.reduce((total, point) => total + point[key], 0);
  return {
    sinceSeconds,
    stepSeconds: history.stepMs / 1000,
    nodes: history.nodes.map(({ nodeId, points }) => ({
      nodeId,
      promotedBytes: sum(points, 'promotedBytes'),
      demotedBytes: sum(points, 'demotedBytes'),
      points: points.map(({ startMs, ...point }) => ({
        at: new Date(Math.round(dateMs - (nowMs - startMs))).toISOString(),
        ...point,
        usedShare: point.totalBytes === 0 ? 0 : point.usedBytes / point.totalBytes,
      })),
    })),
  };
}

/** About half a millisecond of work. */
const CHUNK_POINTS = 250;

/** The JSON text of a history, piece by piece: a day of many nodes has tens of thousands of points. */
export function* historyJson({ nodes, ...heading }: HistoryBody): Generator<string> {
  yield `${JSON.stringify(heading).slice(0, -1)},"nodes":[`;
  for (const [index, { points, ...node }] of nodes.entries()) {
    yield `${index === 0 ? '' : ','}${JSON.stringify(node).slice(0, -1)},"points":[`;
    for (let start = 0; start < points.length; start += CHUNK_POINTS) {
      const chunk = JSON.stringify(points.slice(start, start + CHUNK_POINTS)).slice(1, -1);
      yield start === 0 ? chunk : `,${chunk}`;
    }
    yield ']}';
  }
  yield ']}';
}
