import type { Block, Departed } from './mixed-regions.ts';
import { keyOf } from './mixed-regions.ts';

/** What has left the node, and when by CLOCK_MONOTONIC. */
interface Leaving extends Departed {
  readonly atMs: number;
}

interface Known {
  readonly heat: number;
  readonly atMs: number;
}

/** Part that the newest look has in what is known. */
const NEWEST_PART = 0.3;
/** What was seen before that says nothing of now. */
const FORGOTTEN_MS = 30_000;
/** Looking takes time, and what a program does with 2 MiB of its memory lasts longer than this. */
const RECENT_MS = 1_500;
/** Bounds the memory to about 10 MB. */
const MAX_BLOCKS = 65_536;

/** What is remembered of a node's blocks and pages from one promotion to the next. */
export class HeatMemory {
  #leaving: Leaving[] = [];
  readonly #heat = new Map<number, Known>();

  /** Pages leave the node. */
  leave(departed: Departed, atMs: number): void {
    this.#leaving.push({ ...departed, atMs });
  }

  /** What has left since, and so has part in the access rates of an aggregation that began then; forgets the rest. */
  leftSince(sinceMs: number): readonly Departed[] {
    this.#leaving = this.#leaving.filter(({ atMs }) => atMs >= sinceMs);
    return this.#leaving;
  }

  /** How hot a block has been, when somebody has looked just now; undefined: it is time to look. */
  recent(block: Block, nowMs: number): number | undefined {
    const known = this.#heat.get(keyOf(block));
    return known !== undefined && nowMs - known.atMs < RECENT_MS ? known.heat : undefined;
  }

  /** A look at a block; gives how hot it has been lately: one look alone is noisy, and the hot pages of few may be left among many cold ones. */
  smooth(block: Block, heat: number, nowMs: number): number {
    const key = keyOf(block);
    const before = this.#heat.get(key);
    const isKnown = before !== undefined && nowMs - before.atMs <= FORGOTTEN_MS;
    const smoothed = isKnown ? before.heat + NEWEST_PART * (heat - before.heat) : heat;
    // At the end of the order: those at its start are the oldest.
    this.#heat.delete(key);
    this.#heat.set(key, { heat: smoothed, atMs: nowMs });
    for (const [oldest, { atMs }] of this.#heat) {
      if (this.#heat.size <= MAX_BLOCKS && nowMs - atMs <= FORGOTTEN_MS) break;
      this.#heat.delete(oldest);
    }
    return smoothed;
  }
}
