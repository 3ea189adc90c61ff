import type { Temperatures } from '../snapshot.ts';
import type { StepSums } from './history-ring.ts';
import { HistoryRing } from './history-ring.ts';

/** What one decision knew of one memory node, and what it asked for. */
export interface NodeSample {
  readonly nodeId: number;
  readonly totalBytes: number;
  readonly usedBytes: number;
  /** Undefined until the node's first aggregation. */
  readonly temperatures?: Temperatures;
  /** Moved out of this node since the sample before. */
  readonly promotedBytes: number;
  readonly demotedBytes: number;
  /** Most that the next pass may move out of this node; 0: off. */
  readonly promotionQuotaBytes: number;
  readonly demotionQuotaBytes: number;
}

/** One step of a node's past: means over the step, and for what moved the sum. */
export interface HistoryPoint extends Omit<NodeSample, 'nodeId'> {
  /** Beginning of the step, CLOCK_MONOTONIC. */
  readonly startMs: number;
}

interface NodeHistory {
  readonly nodeId: number;
  /** Oldest first; steps in which nothing was seen are missing. */
  readonly points: readonly HistoryPoint[];
}

export interface HistoryQuery {
  /** From how long ago. */
  readonly sinceMs: number;
  /** Length of a step, at least. */
  readonly stepMs: number;
}

export interface HistoryAnswer {
  /** Length of the steps, rounded up to what is kept so far back. */
  readonly stepMs: number;
  /** By ascending id. */
  readonly nodes: readonly NodeHistory[];
}

/** What is kept, from fine to coarse. */
export const HISTORY_LEVELS = [
  { stepMs: 1_000, steps: 600 },
  { stepMs: 10_000, steps: 720 },
  { stepMs: 60_000, steps: 1440 },
] as const;

/** The order of the sums in a ring. */
const FIELDS = [
  'samples',
  'snapshots',
  'totalBytes',
  'usedBytes',
  'hotBytes',
  'warmBytes',
  'coldBytes',
  'promotedBytes',
  'demotedBytes',
  'promotionQuotaBytes',
  'demotionQuotaBytes',
] as const;

type Field = (typeof FIELDS)[number];

/** Nodes come and go: of more than this, the one not seen for longest is forgotten. */
const MAX_NODES = 32;

interface NodePast {
  readonly rings: readonly HistoryRing[];
  seenAtMs: number;
}

/**
 * The past of every memory node at bounded memory: 1 s steps for 10 min, 10 s for 2 h, 1 min for 24 h. A node takes 265,248 bytes, all
 * of it when it is first seen.
 */
export class History {
  readonly #nodes = new Map<number, NodePast>();

  /** Takes in a decision; `atMs` on CLOCK_MONOTONIC, so that a change of the day's time tears no hole. */
  record(atMs: number, samples: readonly NodeSample[]): void {
    for (const sample of samples) {
      const past = this.#pastOf(sample.nodeId);
      past.seenAtMs = atMs;
      const values = valuesOf(sample);
      for (const ring of past.rings) ring.add(atMs, values);
    }
  }

  /** The past from `sinceMs` ago until now, in steps that are as fine as asked for and kept. */
  query({ sinceMs, stepMs: wantedMs }: HistoryQuery, nowMs: number): HistoryAnswer {
    const level = levelFor(sinceMs);
    const { stepMs: ownMs } = HISTORY_LEVELS[level];
    const stepMs = Math.max(1, Math.ceil(wantedMs / ownMs)) * ownMs;
    const nodes = [...this.#nodes].map(([nodeId, { rings }]) => ({
      nodeId,
      points: (rings[level]?.between(nowMs - sinceMs, nowMs, stepMs) ?? []).map(pointOf),
    }));
    return { stepMs, nodes: nodes.sort((a, b) => a.nodeId - b.nodeId) };
  }

  /** Memory of all arrays. */
  get sizeBytes(): number {
    const rings = [...this.#nodes.values()].flatMap((past) => past.rings);
    return rings.reduce((total, ring) => total + ring.sizeBytes, 0);
  }

  #pastOf(nodeId: number): NodePast {
    const known = this.#nodes.get(nodeId);
    if (known !== undefined) return known;
    if (this.#nodes.size >= MAX_NODES) this.#forgetOne();
    // One more for the step that has only begun.
    const rings = HISTORY_LEVELS.map(({ stepMs, steps }) => new HistoryRing(stepMs, steps + 1, FIELDS.length));
    const past = { rings, seenAtMs: 0 };
    this.#nodes.set(nodeId, past);
    return past;
  }

  #forgetOne(): void {
    const [oldest] = [...this.#nodes].sort(([, a], [, b]) => a.seenAtMs - b.seenAtMs);
    if (oldest !== undefined) this.#nodes.delete(oldest[0]);
  }
}

/** The finest level that remembers so long; the coarsest when none does. */
function levelFor(sinceMs: number): 0 | 1 | 2 {
  if (sinceMs <= HISTORY_LEVELS[0].stepMs * HISTORY_LEVELS[0].steps) return 0;
  return sinceMs <= HISTORY_LEVELS[1].stepMs * HISTORY_LEVELS[1].steps ? 1 : 2;
}

function valuesOf({ temperatures, ...sample }: NodeSample): readonly number[] {
  const values = {
    ...sample,
    samples: 1,
    snapshots: temperatures === undefined ? 0 : 1,
    hotBytes: temperatures?.hotBytes ?? 0,
    warmBytes: temperatures?.warmBytes ?? 0,
    coldBytes: temperatures?.coldBytes ?? 0,
  };
  return FIELDS.map((field) => values[field]);
}

function pointOf({ startMs, sums }: { readonly startMs: number; readonly sums: StepSums }): HistoryPoint {
  const sum = (field: Field): number => sums[FIELDS.indexOf(field)] ?? 0;
  const mean = (field: Field): number => Math.round(sum(field) / sum('samples'));
  const seen = (field: Field): number => Math.round(sum(field) / sum('snapshots'));
  return {
    startMs,
    totalBytes: mean('totalBytes'),
    usedBytes: mean('usedBytes'),
    ...(sum('snapshots') > 0 && {
      temperatures: { hotBytes: seen('hotBytes'), warmBytes: seen('warmBytes'), coldBytes: seen('coldBytes') },
    }),
    promotedBytes: sum('promotedBytes'),
    demotedBytes: sum('demotedBytes'),
    promotionQuotaBytes: mean('promotionQuotaBytes'),
    demotionQuotaBytes: mean('demotionQuotaBytes'),
  };
}
