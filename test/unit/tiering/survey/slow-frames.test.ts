import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import type { FrameCounts } from '../../../../tiering/survey/slow-frames.ts';
import { slowFrames, snapshotOf } from './hot-machine.ts';

const WATCHED = slowFrames(
  snapshotOf(0, [[0, 1000, 10]]),
  snapshotOf(2, [[3000, 3100, 10]]),
  snapshotOf(1, [
    [2000, 2100, 10],
    [1000, 1500, 0],
    [2100, 2200, 9],
    [1500, 2000, 1],
  ]),
);

function counted(firstFrame: number, frames: number): ReadonlyMap<number, FrameCounts> {
  const counts = new Map<number, FrameCounts>();
  WATCHED.count(firstFrame, frames, counts);
  return counts;
}

describe('frames of slow nodes', () => {
  test('are those of nodes with a faster one above them', () => {
    expect(WATCHED.nodeIds).toEqual([1, 2]);
    expect(counted(0, 1000)).toEqual(new Map());
  });

  test('are hot where their region is, neighbours in one', () => {
    expect(WATCHED.hasHot).toBe(true);
    expect(WATCHED.hot(1)).toMatchObject([{ start: 2000, end: 2200 }]);
    expect(WATCHED.hot(2)).toMatchObject([{ start: 3000, end: 3100 }]);
    expect(slowFrames(snapshotOf(0, [[0, 9, 10]]), snapshotOf(1, [[10, 20, 0]])).hasHot).toBe(false);
  });

  test('are counted by node where frames reach over several regions and nodes', () => {
    expect(counted(900, 2150)).toEqual(
      new Map([
        [1, { frames: 1200, hotFrames: 200 }],
        [2, { frames: 50, hotFrames: 50 }],
      ]),
    );
  });

  test('are counted the same at once and one by one', () => {
    fc.assert(
      fc.property(fc.integer({ min: 900, max: 3200 }), fc.integer({ min: 1, max: 300 }), (first, frames) => {
        const single = new Map<number, FrameCounts>();
        for (let frame = first; frame < first + frames; frame++) WATCHED.count(frame, 1, single);
        expect(counted(first, frames)).toEqual(single);
      }),
    );
  });
});
