import type { HeatHistogram } from '../../../../tiering/heat/heat-histogram.ts';
import { HEAT_CLASSES, heatClass } from '../../../../tiering/heat/heat-histogram.ts';
import type { NodeHeat } from '../../../../tiering/tuner/levels.ts';

/** Bytes, and the share of samples that saw them accessed: what it is likely, and how far off that may be. */
export type Heated = readonly [bytes: number, share: number, doubt?: number];

export function histogram(...memory: readonly Heated[]): HeatHistogram {
  const [likely, atLeast, atMost] = [0, 1, 2].map(() => new Array<number>(HEAT_CLASSES).fill(0));
  if (likely === undefined || atLeast === undefined || atMost === undefined) throw new Error('three were made');
  let seenHeatBytes = 0;
  for (const [bytes, share, doubt = 0] of memory) {
    add(likely, share, bytes);
    add(atLeast, share - doubt, bytes);
    add(atMost, share + doubt, bytes);
    seenHeatBytes += bytes * share;
  }
  return { likely, atLeast, atMost, seenHeatBytes, samplingIntervalMs: 50 };
}

/** A node all of whose watched memory can move. */
export function nodeHeat(...memory: readonly Heated[]): NodeHeat {
  return { heat: histogram(...memory), movableBytes: memory.reduce((total, [bytes]) => total + bytes, 0) };
}

function add(bytes: number[], share: number, more: number): void {
  bytes[heatClass(share)] = (bytes[heatClass(share)] ?? 0) + more;
}
