import { describe, expect, it } from 'vitest';
import { DecisionClock } from '../../../tiering/decision-clock.ts';
import type { NodeSnapshot } from '../../../tiering/snapshot.ts';

const INTERVAL_MS = 500;

function snapshots(takenAtMs: Record<number, number>): ReadonlyMap<number, NodeSnapshot> {
  return new Map(
    Object.entries(takenAtMs).map(([nodeId, atMs]) => [
      Number(nodeId),
      {
        nodeId: Number(nodeId),
        takenAtMs: atMs,
        maxNrAccesses: 10,
        aggregationIntervalMs: INTERVAL_MS,
        regions: [],
      },
    ]),
  );
}

describe('the decision clock', () => {
  it('waits for a snapshot of every node', () => {
    const clock = new DecisionClock();
    expect(clock.isDue([0, 1], snapshots({}), INTERVAL_MS, 10_000)).toBe(false);
    expect(clock.isDue([0, 1], snapshots({ 0: 9_900 }), INTERVAL_MS, 10_000)).toBe(false);
    expect(clock.isDue([0, 1], snapshots({ 0: 9_900, 1: 9_950 }), INTERVAL_MS, 10_000)).toBe(true);
  });

  it('does not decide twice on the same snapshots', () => {
    const clock = new DecisionClock();
    clock.decided(snapshots({ 0: 9_900, 1: 9_950 }));
    expect(clock.isDue([0, 1], snapshots({ 0: 9_900, 1: 9_950 }), INTERVAL_MS, 10_000)).toBe(false);
  });

  it('goes on without a node that is late', () => {
    const clock = new DecisionClock();
    expect(clock.isDue([0, 1], snapshots({ 0: 9_000 }), INTERVAL_MS, 9_300)).toBe(false);
    expect(clock.isDue([0, 1], snapshots({ 0: 9_000 }), INTERVAL_MS, 9_400)).toBe(true);
  });

  it('a snapshot right after a commit does not show the pass that Linux 6.12 put off', () => {
    const clock = new DecisionClock();
    clock.applied(0, 9_000);
    expect(clock.isDue([0], snapshots({ 0: 9_010 }), INTERVAL_MS, 9_020)).toBe(false);
    expect(clock.isDue([0], snapshots({ 0: 9_510 }), INTERVAL_MS, 9_520)).toBe(true);
  });

  it('a node that was just changed is not late before its pass was due', () => {
    const clock = new DecisionClock();
    clock.applied(1, 9_000);
    expect(clock.isDue([0, 1], snapshots({ 0: 9_050, 1: 9_010 }), INTERVAL_MS, 9_600)).toBe(false);
    expect(clock.isDue([0, 1], snapshots({ 0: 9_050, 1: 9_010 }), INTERVAL_MS, 9_900)).toBe(true);
  });

  it('nothing to watch is nothing to decide', () => {
    expect(new DecisionClock().isDue([], snapshots({}), INTERVAL_MS, 9_000)).toBe(false);
  });

  it('looks again when the next aggregation should be over, and often when it is late', () => {
    const clock = new DecisionClock();
    expect(clock.untilNextLookMs([0, 1], snapshots({ 0: 9_000, 1: 9_100 }), INTERVAL_MS, 9_150)).toBe(470);
    expect(clock.untilNextLookMs([0, 1], snapshots({ 0: 9_000, 1: 9_100 }), INTERVAL_MS, 9_900)).toBeLessThan(100);
    expect(clock.untilNextLookMs([], snapshots({}), INTERVAL_MS, 9_900)).toBeLessThanOrEqual(INTERVAL_MS);
  });
});

it('a node that stays away does not hold up the others, however often those are seen', () => {
  const clock = new DecisionClock();
  const decidedAtMs: number[] = [];
  // Looks come right after each snapshot of node 1.
  for (let nowMs = 1_020; nowMs <= 5_020; nowMs += 500) {
    const seen = snapshots({ 1: nowMs - 20 });
    if (!clock.isDue([0, 1], seen, INTERVAL_MS, nowMs)) continue;
    decidedAtMs.push(nowMs);
    clock.decided(seen);
  }
  expect(decidedAtMs).toEqual([1_520, 2_520, 3_520, 4_520]);
});
