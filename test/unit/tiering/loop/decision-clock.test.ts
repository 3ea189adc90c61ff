import { describe, expect, it } from 'vitest';
import type { DecisionClock } from '../../../../tiering/loop/decision-clock.ts';
import {
  applied,
  decided,
  FRESH_CLOCK,
  lookAtClock,
  untilNextLookMs,
} from '../../../../tiering/loop/decision-clock.ts';
import type { NodeSnapshot } from '../../../../tiering/snapshot.ts';

const INTERVAL_MS = 500;

type Snapshots = ReadonlyMap<number, NodeSnapshot>;

function snapshots(takenAtMs: Record<number, number>): Snapshots {
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

function due(clock: DecisionClock, nodeIds: readonly number[], seen: Snapshots, nowMs: number): boolean {
  return lookAtClock(clock, { nodeIds, snapshots: seen }, INTERVAL_MS, nowMs).isDue;
}

describe('the decision clock', () => {
  it('waits for a snapshot of every node', () => {
    const clock = FRESH_CLOCK;
    expect(due(clock, [0, 1], snapshots({}), 10_000)).toBe(false);
    expect(due(clock, [0, 1], snapshots({ 0: 9_900 }), 10_000)).toBe(false);
    expect(due(clock, [0, 1], snapshots({ 0: 9_900, 1: 9_950 }), 10_000)).toBe(true);
  });

  it('does not decide twice on the same snapshots', () => {
    const clock = decided(FRESH_CLOCK, snapshots({ 0: 9_900, 1: 9_950 }));
    expect(due(clock, [0, 1], snapshots({ 0: 9_900, 1: 9_950 }), 10_000)).toBe(false);
  });

  it('goes on without a node that is late', () => {
    const clock = FRESH_CLOCK;
    expect(due(clock, [0, 1], snapshots({ 0: 9_000 }), 9_300)).toBe(false);
    expect(due(clock, [0, 1], snapshots({ 0: 9_000 }), 9_400)).toBe(true);
  });

  it('a snapshot right after a commit does not show the pass that Linux 6.12 put off', () => {
    const clock = applied(FRESH_CLOCK, 0, 9_000);
    expect(due(clock, [0], snapshots({ 0: 9_010 }), 9_020)).toBe(false);
    expect(due(clock, [0], snapshots({ 0: 9_510 }), 9_520)).toBe(true);
  });

  it('a node that was just changed is not late before its pass was due', () => {
    const clock = applied(FRESH_CLOCK, 1, 9_000);
    expect(due(clock, [0, 1], snapshots({ 0: 9_050, 1: 9_010 }), 9_600)).toBe(false);
    expect(due(clock, [0, 1], snapshots({ 0: 9_050, 1: 9_010 }), 9_900)).toBe(true);
  });

  it('nothing to watch is nothing to decide', () => {
    expect(due(FRESH_CLOCK, [], snapshots({}), 9_000)).toBe(false);
  });

  it('looks again when the next aggregation should be over, and often when it is late', () => {
    const next = (nodeIds: readonly number[], seen: Snapshots, nowMs: number) =>
      untilNextLookMs({ nodeIds, snapshots: seen }, INTERVAL_MS, nowMs);
    expect(next([0, 1], snapshots({ 0: 9_000, 1: 9_100 }), 9_150)).toBe(470);
    expect(next([0, 1], snapshots({ 0: 9_000, 1: 9_100 }), 9_900)).toBeLessThan(100);
    expect(next([], snapshots({}), 9_900)).toBeLessThanOrEqual(INTERVAL_MS);
  });
});

it('a node that stays away does not hold up the others, however often those are seen', () => {
  let clock = FRESH_CLOCK;
  const decidedAtMs: number[] = [];
  // Looks come right after each snapshot of node 1.
  for (let nowMs = 1_020; nowMs <= 5_020; nowMs += 500) {
    const seen = snapshots({ 1: nowMs - 20 });
    const look = lookAtClock(clock, { nodeIds: [0, 1], snapshots: seen }, INTERVAL_MS, nowMs);
    clock = look.clock;
    if (!look.isDue) continue;
    decidedAtMs.push(nowMs);
    clock = decided(clock, seen);
  }
  expect(decidedAtMs).toEqual([1_520, 2_520, 3_520, 4_520]);
});
