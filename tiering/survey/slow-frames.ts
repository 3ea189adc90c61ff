import type { Span } from '../../numa/page-maps/page-sample.ts';
import type { Topology } from '../../numa/topology.ts';
import type { Policy } from '../policy.ts';
import type { NodeSnapshot } from '../snapshot.ts';
import { temperatureOf } from '../temperature.ts';

/** Page frames of one node that are alike. */
interface FrameSpan extends Span {
  readonly nodeId: number;
  readonly isHot: boolean;
}

/** How many frames of a slow node were seen, and how many of them lie in hot regions. */
export interface FrameCounts {
  frames: number;
  hotFrames: number;
}

/** What the newest snapshots say of the page frames of slow nodes: nodes that have a faster one above them. */
export class SlowFrames {
  /** Slow nodes of which there is a snapshot, ascending. */
  readonly nodeIds: readonly number[];
  /** Whether anything hot lies on one of them. */
  readonly hasHot: boolean;
  /** Apart and ascending. */
  readonly #spans: readonly FrameSpan[];

  /** @param pageBytes size of a page frame */
  constructor(topology: Topology, snapshots: readonly NodeSnapshot[], policy: Policy, pageBytes: number) {
    const isSlow = (id: number) =>
      topology.paths.some((path) => path.nodeId === id && path.promotionTargets.length > 0);
    const slow = snapshots.filter(({ nodeId }) => isSlow(nodeId));
    this.nodeIds = slow.map(({ nodeId }) => nodeId).sort((a, b) => a - b);
    this.#spans = joined(
      slow.flatMap((snapshot) =>
        snapshot.regions.map((region) => ({
          start: Math.floor(region.start / pageBytes),
          end: Math.floor(region.end / pageBytes),
          nodeId: snapshot.nodeId,
          isHot: temperatureOf(region, snapshot, policy) === 'hot',
        })),
      ),
    );
    this.hasHot = this.#spans.some(({ isHot }) => isHot);
  }

  /** Hot frames of a node, ascending. */
  hot(nodeId: number): readonly Span[] {
    return this.#spans.filter((span) => span.isHot && span.nodeId === nodeId);
  }

  /** Adds frames that follow one another to the counts of the slow nodes they lie on; other frames count nowhere. */
  count(firstFrame: number, frames: number, counts: Map<number, FrameCounts>): void {
    const endFrame = firstFrame + frames;
    for (let i = this.#firstEndingAfter(firstFrame); i < this.#spans.length; i++) {
      const span = this.#spans[i];
      if (span === undefined || span.start >= endFrame) return;
      const common = Math.min(span.end, endFrame) - Math.max(span.start, firstFrame);
      const count = counts.get(span.nodeId) ?? { frames: 0, hotFrames: 0 };
      count.frames += common;
      if (span.isHot) count.hotFrames += common;
      counts.set(span.nodeId, count);
    }
  }

  #firstEndingAfter(frame: number): number {
    let low = 0;
    let high = this.#spans.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if ((this.#spans[middle]?.end ?? 0) <= frame) low = middle + 1;
      else high = middle;
    }
    return low;
  }
}

/** In order, with neighbours that are alike in one. */
function joined(spans: readonly FrameSpan[]): readonly FrameSpan[] {
  const result: { start: number; end: number; nodeId: number; isHot: boolean }[] = [];
  for (const span of spans.toSorted((a, b) => a.start - b.start)) {
    const last = result.at(-1);
    if (last !== undefined && last.end === span.start && last.nodeId === span.nodeId && last.isHot === span.isHot) {
      last.end = span.end;
    } else if (span.end > span.start) result.push({ ...span });
  }
  return result;
}
