import type { PageRun } from '../../numa/page-maps/page-maps.ts';
import type { NodeSnapshot } from '../snapshot.ts';
import { firstAbove } from './ascending.ts';
import { withinBlocks } from './mixed-regions.ts';
import { PAGE_BYTES } from './page-bytes.ts';

/** The newest snapshot of a node that there is to have at this moment, without a long wait. */
export type NewestSnapshot = (nodeId: number) => Promise<NodeSnapshot | undefined>;

export interface LastLookOptions {
  readonly nodeId: number;
  /** Regions that have seen more accesses in an aggregation stay. */
  readonly maxNrAccesses: number;
  readonly newest: NewestSnapshot;
}

/** Keeps from a demotion what is touched while it goes on: an order is of one snapshot, and carrying it out can take until after the next. */
export class LastLook {
  readonly #options: LastLookOptions;
  #snapshot: NodeSnapshot | undefined;
  /** Frames of regions that have turned hot, ascending; ends are exclusive. */
  #hotStarts = new Float64Array();
  #hotEnds = new Float64Array();
  /** What has been kept back so far. */
  keptBytes = 0;

  constructor(options: LastLookOptions) {
    this.#options = options;
  }

  /** Takes what is the newest snapshot now. */
  async refresh(): Promise<void> {
    const { nodeId, maxNrAccesses, newest } = this.#options;
    const snapshot = await newest(nodeId);
    if (snapshot === undefined || snapshot === this.#snapshot) return;
    this.#snapshot = snapshot;
    const hot = snapshot.regions
      .filter(({ nrAccesses }) => nrAccesses > maxNrAccesses)
      .sort((a, b) => a.start - b.start);
    this.#hotStarts = Float64Array.from(hot, ({ start }) => Math.floor(start / PAGE_BYTES));
    this.#hotEnds = Float64Array.from(hot, ({ end }) => Math.ceil(end / PAGE_BYTES));
  }

  /** What of the runs is not in hot regions, cut where blocks end; huge pages whole or not at all. In place of what is left out comes undefined. */
  *cool(runs: Iterable<PageRun | undefined>): Generator<PageRun | undefined> {
    // In small pieces, for each is judged when it is asked for.
    for (const piece of withinBlocks(runs)) {
      if (piece === undefined) yield undefined;
      else yield* this.#coolParts(piece);
    }
  }

  *#coolParts(run: PageRun): Generator<PageRun | undefined> {
    const { pid, startPage, startFrame, pages, huge } = run;
    const endFrame = startFrame + pages;
    const part = (from: number, to: number) => ({
      pid,
      startPage: startPage + from - startFrame,
      startFrame: from,
      pages: to - from,
      huge,
    });
    let from = startFrame;
    for (let region = firstAbove(this.#hotEnds, startFrame); from < endFrame; region += 1) {
      const hotStart = Math.max(from, this.#hotStarts[region] ?? endFrame);
      if (hotStart >= endFrame) break;
      const hotEnd = Math.min(endFrame, this.#hotEnds[region] ?? endFrame);
      this.keptBytes += (huge ? pages : hotEnd - hotStart) * PAGE_BYTES;
      yield undefined;
      if (huge) return;
      if (hotStart > from) yield part(from, hotStart);
      from = hotEnd;
    }
    if (from < endFrame) yield part(from, endFrame);
  }
}
