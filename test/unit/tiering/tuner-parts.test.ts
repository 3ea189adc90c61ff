import { describe, expect, it } from 'vitest';
import { DEFAULT_POLICY } from '../../../tiering/policy.ts';
import type { DemotionEffort, DemotionResult } from '../../../tiering/tuner/demotion-effort.ts';
import { FRESH_EFFORT, nextEffort } from '../../../tiering/tuner/demotion-effort.ts';
import { keepFreeBytes } from '../../../tiering/tuner/headroom.ts';
import type { PassObservation } from '../../../tiering/tuner/pace.ts';
import { firstPace, nextPace } from '../../../tiering/tuner/pace.ts';
import type { ExchangeFlow, PingPongWatch } from '../../../tiering/tuner/ping-pong.ts';
import { NO_PING_PONG, watchPingPong } from '../../../tiering/tuner/ping-pong.ts';
import { bytesInReach, further, hotBytes, nearer, reachBounds } from '../../../tiering/tuner/reach.ts';

const MIB = 1024 * 1024;
const GIB = 1024 * MIB;

describe('headroom', () => {
  const node = { totalBytes: 100 * GIB, highWatermarkBytes: GIB };
  const policy = { fastUtilization: 0.95, headroomMiB: 'auto' as const };

  it('a fast node keeps free what fastUtilization leaves', () => {
    expect(keepFreeBytes(node, true, policy)).toBeCloseTo(5 * GIB, -3);
  });

  it('or what the operator wants free, if that is more', () => {
    expect(keepFreeBytes(node, true, { ...policy, headroomMiB: 8 * 1024 })).toBe(8 * GIB);
    expect(keepFreeBytes(node, true, { ...policy, headroomMiB: 1024 })).toBeCloseTo(5 * GIB, -3);
  });

  it('never less than the high watermark and a margin, on any node', () => {
    const greedy = { fastUtilization: 0.99, headroomMiB: 0 };
    const small = { totalBytes: GIB, highWatermarkBytes: 50 * MIB };
    for (const isFastest of [true, false]) {
      expect(keepFreeBytes(small, isFastest, greedy)).toBeGreaterThan(54 * MIB);
    }
  });

  it('a slow node may be filled to that, whatever fastUtilization says', () => {
    expect(keepFreeBytes(node, false, { ...policy, fastUtilization: 0.5 })).toBeLessThan(1.2 * GIB);
  });

  it('never more than the node has', () => {
    expect(keepFreeBytes({ totalBytes: MIB, highWatermarkBytes: 0 }, true, policy)).toBe(MIB);
  });
});

describe('pace', () => {
  const used = (snapshotAtMs: number, change: Partial<PassObservation> = {}): PassObservation => ({
    snapshotAtMs,
    previousSnapshotAtMs: snapshotAtMs - 1000,
    aggregationIntervalMs: 1000,
    budgetBytes: 1000 * GIB,
    triedBytes: 1000 * GIB,
    maxBytesPerPass: 10 * GIB,
    ...change,
  });

  it('starts small, larger on larger nodes, never above the bandwidth limit', () => {
    expect(firstPace(GIB, 10 * GIB).stepBytes).toBe(64 * MIB);
    expect(firstPace(1024 * GIB, 10 * GIB).stepBytes).toBe(GIB);
    expect(firstPace(1024 * GIB, 10 * MIB).stepBytes).toBe(10 * MIB);
  });

  it('grows while budgets are used up in time, to the limit', () => {
    let pace = firstPace(GIB, 10 * GIB);
    for (let pass = 1; pass <= 20; pass += 1) pace = nextPace(pace, used(pass * 1000));
    expect(pace.stepBytes).toBe(10 * GIB);
  });

  it('does not grow when the budget was less than a step, or was not used up', () => {
    const pace = nextPace(firstPace(GIB, 10 * GIB), used(1000, { triedBytes: 0, budgetBytes: 0 }));
    expect(nextPace(pace, used(2000, { budgetBytes: 10 * MIB, triedBytes: 10 * MIB })).stepBytes).toBe(pace.stepBytes);
    expect(nextPace(pace, used(2000, { budgetBytes: 64 * MIB, triedBytes: 32 * MIB })).stepBytes).toBe(pace.stepBytes);
  });

  it('halves when migration keeps the kdamond from watching, but not to nothing', () => {
    let pace = firstPace(GIB, 10 * GIB);
    for (let pass = 1; pass <= 20; pass += 1) {
      pace = nextPace(pace, used(pass * 3000, { previousSnapshotAtMs: (pass - 1) * 3000 }));
    }
    expect(pace.stepBytes).toBe(8 * MIB);
  });

  it('is not slowed by decisions that skip snapshots', () => {
    const pace = nextPace(firstPace(GIB, 10 * GIB), used(1000));
    expect(nextPace(pace, used(5000)).stepBytes).toBeGreaterThan(pace.stepBytes);
  });

  it('learns once from a snapshot', () => {
    const pace = nextPace(firstPace(GIB, 10 * GIB), used(1000));
    expect(nextPace(pace, used(1000))).toEqual(pace);
  });
});

describe('reach', () => {
  const snapshot = {
    nodeId: 0,
    takenAtMs: 0,
    maxNrAccesses: 20,
    aggregationIntervalMs: 1000,
    regions: [
      { start: 0, end: 1, nrAccesses: 0, age: 10 },
      { start: 1, end: 11, nrAccesses: 0, age: 1 },
      { start: 11, end: 111, nrAccesses: 1, age: 1 },
      { start: 111, end: 1111, nrAccesses: 3, age: 5 },
      { start: 1111, end: 11_111, nrAccesses: 4, age: 5 },
    ],
  };

  it.each([
    ['idle', 1],
    ['cold', 1 + 10 + 100],
    ['warm', 100 + 1000],
    ['any', 100 + 1000 + 10_000],
  ] as const)('%s reaches %i bytes', (reach, bytes) => {
    expect(bytesInReach(snapshot, reachBounds(reach, DEFAULT_POLICY, snapshot))).toBe(bytes);
  });

  it('hot is what reaches the promotion threshold for long enough', () => {
    expect(hotBytes(snapshot, DEFAULT_POLICY)).toBe(10_000);
    const patient = { ...DEFAULT_POLICY, promotion: { ...DEFAULT_POLICY.promotion, minAgeSeconds: 6 } };
    expect(hotBytes(snapshot, patient)).toBe(0);
  });

  it('goes further step by step, up to the furthest allowed', () => {
    expect(further('idle', 'any')).toBe('cold');
    expect(further('warm', 'warm')).toBe('warm');
    expect(nearer('any', 'cold')).toBe('cold');
  });
});

describe('demotion effort', () => {
  const pass = (change: Partial<DemotionResult> = {}): DemotionResult => ({
    nowMs: 1000,
    orderedBytes: 64 * MIB,
    triedBytes: 64 * MIB,
    movedBytes: 64 * MIB,
    hadPass: true,
    furthest: 'warm',
    ...change,
  });
  const effortAfter = (passes: readonly DemotionResult[], effort: DemotionEffort = FRESH_EFFORT) =>
    passes.reduce(nextEffort, effort);
  const failed = pass({ movedBytes: 0 });

  it('stays where it is while demotion succeeds', () => {
    expect(effortAfter([pass(), pass(), pass()])).toMatchObject({ reach: 'idle', restUntilMs: 0 });
  });

  it('goes further after passes that failed, allowing the young filter its first look', () => {
    expect(effortAfter([failed]).reach).toBe('idle');
    expect(effortAfter([failed, failed]).reach).toBe('cold');
    expect(effortAfter([failed, failed, failed, failed]).reach).toBe('cold');
    expect(effortAfter([failed, failed, failed, failed, failed]).reach).toBe('warm');
  });

  it('goes further when the pattern has run dry, though not for want of a pass', () => {
    const dry = pass({ triedBytes: MIB, movedBytes: MIB });
    const waiting = pass({ triedBytes: 0, movedBytes: 0, hadPass: false });
    expect(effortAfter([dry, dry, dry]).reach).toBe('cold');
    expect(effortAfter([waiting, waiting, waiting, waiting]).reach).toBe('idle');
  });

  it('rests when the furthest fails too, twice as long each time, and starts again with what is surely cold', () => {
    const round = (nowMs: number) => Array.from({ length: 8 }, () => ({ ...failed, nowMs }));
    const first = effortAfter(round(1000));
    expect(first).toMatchObject({ reach: 'idle', restUntilMs: 6000 });
    expect(effortAfter(round(6000), first)).toMatchObject({ reach: 'idle', restUntilMs: 16_000 });
  });

  it('forgets how far it had to go once nothing has been wanted for a while', () => {
    const far = effortAfter([failed, failed]);
    const quiet = (nowMs: number) => pass({ nowMs, orderedBytes: 0, triedBytes: 0, movedBytes: 0 });
    expect(effortAfter([quiet(5000)], far).reach).toBe('cold');
    expect(effortAfter([quiet(12_000)], far).reach).toBe('idle');
  });

  it('never reaches further than the demand allows', () => {
    const far: DemotionEffort = { ...FRESH_EFFORT, reach: 'any' };
    expect(effortAfter([pass()], far).reach).toBe('warm');
  });

  it('knows which share of its tries moves', () => {
    const half = pass({ movedBytes: 32 * MIB });
    expect(effortAfter(Array.from({ length: 10 }, () => half)).efficiency).toBeCloseTo(0.5, 1);
  });
});

describe('ping-pong', () => {
  const flow = (nowMs: number, change: Partial<ExchangeFlow> = {}): ExchangeFlow => ({
    nowMs,
    nodeTotalBytes: GIB,
    waitingBytes: 200 * MIB,
    promotedBytes: 0,
    demotedBytes: 0,
    ...change,
  });
  /** A minute of ticks, each of which promotes and demotes 10 MiB. */
  const minute = (watch: PingPongWatch, fromMs: number, waitingAt: (second: number) => number) => {
    let next = watch;
    for (let second = 0; second < 60; second += 1) {
      const flows = { promotedBytes: 10 * MIB, demotedBytes: 10 * MIB, waitingBytes: waitingAt(second) };
      next = watchPingPong(next, flow(fromMs + second * 1000, flows));
    }
    return next;
  };

  it('an exchange after which as much waits as before is held, and counted', () => {
    const watch = minute(NO_PING_PONG, 0, () => 200 * MIB);
    expect(watch.holdUntilMs).toBeGreaterThan(30_000);
    expect(watch.totalBytes).toBeGreaterThan(200 * MIB);
  });

  it('an exchange that shortens the queue is not', () => {
    const watch = minute(NO_PING_PONG, 0, (second) => (600 - 10 * second) * MIB);
    expect(watch).toMatchObject({ holdUntilMs: 0, totalBytes: 0 });
  });

  it('promotion into free room is not', () => {
    let watch = NO_PING_PONG;
    for (let second = 0; second < 60; second += 1) {
      watch = watchPingPong(watch, flow(second * 1000, { promotedBytes: 10 * MIB }));
    }
    expect(watch).toMatchObject({ holdUntilMs: 0, totalBytes: 0 });
  });

  it('the next hold is twice as long when the next try fails too', () => {
    const first = minute(NO_PING_PONG, 0, () => 200 * MIB);
    const second = minute(first, first.holdUntilMs, () => 200 * MIB);
    expect(second.holdMs).toBe(2 * first.holdMs);
  });
});
