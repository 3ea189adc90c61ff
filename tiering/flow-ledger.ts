import type { DesiredScheme, SchemeStats } from './scheme.ts';
import { directionOf } from './scheme.ts';

/** Bytes that moved, or were tried, out of one node. */
export interface Flow {
  readonly promotedBytes: number;
  readonly demotedBytes: number;
  readonly promotionTriedBytes: number;
  readonly demotionTriedBytes: number;
  /** Looked at page by page; of it, what had been touched since the look before. */
  readonly lookedBytes?: number;
  readonly youngBytes?: number;
  /** How long moving them took, where the engine knows; a kdamond that migrates shows it by late snapshots. */
  readonly promotionMs?: number;
  readonly demotionMs?: number;
}

export const NO_FLOW: Flow = { promotedBytes: 0, demotedBytes: 0, promotionTriedBytes: 0, demotionTriedBytes: 0 };

const RATE_WINDOW_MS = 5_000;

interface Sample {
  readonly atMs: number;
  readonly promotedBytes: number;
  readonly demotedBytes: number;
}

/**
 * Turns the ever-growing statistics of schemes into what moved since the last look, totals since start, and rates. The first statistics
 * seen of a kdamond are its base: an adopted kdamond has moved memory before.
 */
export class FlowLedger {
  readonly #totals = new Map<number, Totals>();
  #samples: Sample[] = [];
  promotedBytes = 0;
  demotedBytes = 0;

  /** What moved since the last call for this node. Statistics that went down (a scheme was made anew) start from zero. */
  record(nodeId: number, schemes: readonly DesiredScheme[], stats: readonly SchemeStats[], nowMs: number): Flow {
    const total = totalOf(schemes, stats);
    const before = this.#totals.get(nodeId);
    this.#totals.set(nodeId, total);
    if (before === undefined) return NO_FLOW;
    const flow = {
      promotedBytes: growth(before.promotedBytes, total.promotedBytes),
      demotedBytes: growth(before.demotedBytes, total.demotedBytes),
      promotionTriedBytes: growth(before.promotionTriedBytes, total.promotionTriedBytes),
      demotionTriedBytes: growth(before.demotionTriedBytes, total.demotionTriedBytes),
      lookedBytes: growth(before.lookedBytes, total.lookedBytes),
      youngBytes: growth(before.youngBytes, total.youngBytes),
    };
    this.add(flow, nowMs);
    return flow;
  }

  /** Counts what has moved since the last call. */
  add(flow: Flow, nowMs: number): void {
    this.promotedBytes += flow.promotedBytes;
    this.demotedBytes += flow.demotedBytes;
    if (flow.promotedBytes + flow.demotedBytes > 0) this.#samples.push({ atMs: nowMs, ...flow });
  }

  /** Forgets a node whose kdamond is gone. */
  forget(nodeId: number): void {
    this.#totals.delete(nodeId);
  }

  /** Bytes a second over the last seconds. */
  rates(nowMs: number): { readonly promotedBytesPerSecond: number; readonly demotedBytesPerSecond: number } {
    this.#samples = this.#samples.filter((sample) => sample.atMs > nowMs - RATE_WINDOW_MS);
    const perSecond = (bytes: number) => Math.round((bytes * 1000) / RATE_WINDOW_MS);
    return {
      promotedBytesPerSecond: perSecond(this.#samples.reduce((sum, sample) => sum + sample.promotedBytes, 0)),
      demotedBytesPerSecond: perSecond(this.#samples.reduce((sum, sample) => sum + sample.demotedBytes, 0)),
    };
  }
}

type Totals = Omit<Required<Flow>, 'promotionMs' | 'demotionMs'>;

function totalOf(schemes: readonly DesiredScheme[], stats: readonly SchemeStats[]): Totals {
  const total = { ...NO_FLOW, lookedBytes: 0, youngBytes: 0 };
  schemes.forEach((scheme, index) => {
    const { appliedBytes = 0, triedBytes = 0, filterPassedBytes = 0 } = stats[index] ?? {};
    const moved = scheme.action === 'stat' ? 0 : appliedBytes;
    const direction = directionOf(scheme);
    if (direction === 'look') {
      total.lookedBytes += triedBytes;
      total.youngBytes += filterPassedBytes;
    } else if (direction === 'promotion') {
      total.promotedBytes += moved;
      total.promotionTriedBytes += triedBytes;
    } else {
      total.demotedBytes += moved;
      total.demotionTriedBytes += triedBytes;
    }
  });
  return total;
}

function growth(before: number, now: number): number {
  return now >= before ? now - before : now;
}
