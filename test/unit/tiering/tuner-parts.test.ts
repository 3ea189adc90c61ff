import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { DEFAULT_POLICY } from '../../../tiering/policy.ts';
import type { DemotionEffort, DemotionResult } from '../../../tiering/tuner/demotion-effort.ts';
import { FRESH_EFFORT, isCautious, isResting, nextEffort } from '../../../tiering/tuner/demotion-effort.ts';
import { keepFreeBytes } from '../../../tiering/tuner/headroom.ts';
import type { PassObservation } from '../../../tiering/tuner/pace.ts';
import { firstPace, nextPace } from '../../../tiering/tuner/pace.ts';
import type { ExchangeFlow, PingPongWatch } from '../../../tiering/tuner/ping-pong.ts';
import { NO_PING_PONG, watchPingPong } from '../../../tiering/tuner/ping-pong.ts';
import {
  bytesInReach,
  further,
  hotMemory,
  nearer,
  promotionBounds,
  REACHES,
  reachBounds,
} from '../../../tiering/tuner/reach.ts';

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
  /** An aggregation of a second, and the pass that moved so much in so long before it. */
  const moved = (snapshotAtMs: number, movedBytes: number, passMs: number): PassObservation => ({
    snapshotAtMs,
    previousSnapshotAtMs: snapshotAtMs - 1000 - passMs,
    aggregationIntervalMs: 1000,
    movedBytes,
    orderedBytes: movedBytes,
    maxBytesPerPass: 10 * GIB,
  });
  const paceAfter = (passes: readonly PassObservation[], pace = firstPace(GIB, 10 * GIB)) =>
    passes.reduce(nextPace, pace);

  it('starts small, larger on larger nodes, never above the bandwidth limit', () => {
    expect(firstPace(GIB, 10 * GIB).stepBytes).toBe(64 * MIB);
    expect(firstPace(1024 * GIB, 10 * GIB).stepBytes).toBe(GIB);
    expect(firstPace(1024 * GIB, 10 * MIB).stepBytes).toBe(10 * MIB);
  });

  it('passes take no more than three quarters of an aggregation at the speed that was seen', () => {
    // 100 and 400 MiB a second.
    expect(paceAfter([moved(2000, 60 * MIB, 600)]).stepBytes).toBeCloseTo(75 * MIB, -1);
    expect(paceAfter([1, 2, 3, 4].map((pass) => moved(pass * 2000, 40 * MIB, 100))).stepBytes).toBeCloseTo(
      300 * MIB,
      -1,
    );
  });

  it('the speed of a small part of a step is as good as that of a whole one', () => {
    const whole = paceAfter([moved(2000, 64 * MIB, 640)]);
    expect(paceAfter([moved(2000, 16 * MIB, 160)]).stepBytes).toBe(whole.stepBytes);
  });

  it('changes by a factor of two at most from pass to pass, as one pass may have been held up', () => {
    expect(paceAfter([moved(2000, 64 * MIB, 0)]).stepBytes).toBe(128 * MIB);
    expect(paceAfter([moved(20_000, 64 * MIB, 17_000)]).stepBytes).toBe(32 * MIB);
  });

  it('goes to the bandwidth limit while moving takes no time, and not to nothing while it takes long', () => {
    const fast = Array.from({ length: 20 }, (_, pass) => moved(1000 * pass + 1000, 64 * MIB, 0));
    const slow = Array.from({ length: 20 }, (_, pass) => moved(60_000 * pass + 60_000, 64 * MIB, 59_000));
    expect(paceAfter(fast).stepBytes).toBe(10 * GIB);
    expect(paceAfter(slow).stepBytes).toBe(16 * MIB);
  });

  it('is not slowed by a small pass that was late: something else held it up', () => {
    expect(paceAfter([moved(20_000, 8 * MIB, 17_000)]).stepBytes).toBe(64 * MIB);
  });

  it('follows the bandwidth limit down at once, with or without a new snapshot', () => {
    const pace = paceAfter([moved(2000, 64 * MIB, 100)]);
    for (const snapshotAtMs of [2000, 4000]) {
      const pass = { ...moved(snapshotAtMs, 0, 0), maxBytesPerPass: 5 * MIB };
      expect(nextPace(pace, pass).stepBytes).toBe(5 * MIB);
    }
  });

  it('a pass that moved next to nothing teaches nothing, however late the snapshot', () => {
    const pace = paceAfter([moved(2000, 64 * MIB, 640)]);
    for (const late of [moved(3000, 0, 0), moved(9000, 0, 5000), moved(9000, 2 * MIB, 5000)]) {
      expect(nextPace(pace, late).stepBytes).toBe(pace.stepBytes);
    }
  });

  it('is not slowed by decisions that skip snapshots', () => {
    const pace = paceAfter([moved(2000, 64 * MIB, 640)]);
    expect(nextPace(pace, moved(12_000, 64 * MIB, 640)).stepBytes).toBe(pace.stepBytes);
  });

  it('an engine that tells how long moving took is believed, and when it met hardly anything of an order the next is smaller', () => {
    const quick = { ...moved(2000, 60 * MIB, 600), busyMs: 300 };
    expect(paceAfter([quick]).stepBytes).toBe(128 * MIB);
    const searching = { ...moved(2000, 0, 0), orderedBytes: 64 * MIB };
    expect(paceAfter([{ ...searching, busyMs: 900 }]).stepBytes).toBe(32 * MIB);
    expect(paceAfter([{ ...searching, busyMs: 100 }]).stepBytes).toBe(64 * MIB);
  });

  it('an engine that could not meet an order in the whole interval gets the step that fits at once', () => {
    const short = { ...moved(5000, 20 * MIB, 0), orderedBytes: 64 * MIB, busyMs: 1500 };
    expect(paceAfter([short]).stepBytes).toBe(16 * MIB);
    expect(paceAfter([{ ...short, busyMs: 900 }]).stepBytes).toBe(64 * MIB);
  });

  it('learns once from a snapshot', () => {
    const pace = paceAfter([moved(2000, 64 * MIB, 640)]);
    expect(nextPace(pace, moved(2000, 64 * MIB, 10))).toEqual(pace);
  });
});

describe('reach', () => {
  const policy = DEFAULT_POLICY;
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

  const levels = {
    isCrowded: true,
    borderClass: 26,
    hotFrom: 4,
    fillFrom: 3,
    coldUpTo: 3,
    exchange: { bytes: 0, fromClass: 0, heatDifference: 0 },
  };

  it.each([
    ['idle', 1],
    ['cold', 1 + 10],
    ['warm', 100 + 1000],
    ['colder', 0],
    ['any', 100 + 1000 + 10_000],
  ] as const)('while nothing is known of the heat around, %s reaches %i bytes', (reach, bytes) => {
    expect(bytesInReach(snapshot, reachBounds(reach, policy, snapshot))).toBe(bytes);
  });

  it.each([
    ['idle', 1],
    ['cold', 100 + 1000],
    ['warm', 100 + 1000],
    ['colder', 100 + 1000],
    ['any', 100 + 1000 + 10_000],
  ] as const)(
    'where more is touched than fits, %s reaches %i bytes: all that is colder than what waits',
    (reach, bytes) => {
      expect(bytesInReach(snapshot, reachBounds(reach, policy, { ...snapshot, levels }))).toBe(bytes);
    },
  );

  it('single pages touched since the last look stay, but where their rate alone tells that they are colder', () => {
    const checked = REACHES.filter((reach) => reachBounds(reach, policy, { ...snapshot, levels }).checkYoung);
    expect(checked).toEqual(['cold', 'warm']);
  });

  it('what goes up into free room may be less hot than what others make room for', () => {
    const seen = { ...snapshot, levels };
    expect(promotionBounds(policy, seen, false).minNrAccesses).toBe(4);
    expect(promotionBounds(policy, seen, true).minNrAccesses).toBe(3);
  });

  it('shares and seconds are told in the samples and aggregations of the snapshot', () => {
    const fast = { maxNrAccesses: 10, aggregationIntervalMs: 250 };
    const slow = { maxNrAccesses: 10, aggregationIntervalMs: 10_000 };
    expect(reachBounds('idle', policy, fast).minAge).toBe(20);
    expect(reachBounds('idle', policy, slow).minAge).toBe(1);
    expect(promotionBounds(policy, fast, false).minNrAccesses).toBe(2);
  });

  it('only a demotion that reaches for any memory takes what a promotion would bring back', () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 5, max: 50 }),
        fc.integer({ min: 1, max: 50 }),
        fc.integer({ min: 0, max: 49 }),
        fc.constantFrom(...REACHES.filter((reach) => reach !== 'any')),
        (maxNrAccesses, hot, cold, reach) => {
          const hotFrom = Math.min(hot, maxNrAccesses);
          const coldUpTo = Math.min(cold, hotFrom - 1);
          const seen = { maxNrAccesses, aggregationIntervalMs: 500, levels: { ...levels, hotFrom, coldUpTo } };
          const down = reachBounds(reach, policy, seen);
          expect(down.maxNrAccesses).toBeLessThan(promotionBounds(policy, seen, false).minNrAccesses);
        },
      ),
      { seed: 1 },
    );
  });

  it('hot is what reaches the promotion threshold for long enough', () => {
    expect(hotMemory(snapshot, policy).bytes).toBe(10_000);
    const patient = { ...policy, promotion: { ...policy.promotion, minAgeSeconds: 6 } };
    expect(hotMemory(snapshot, patient).bytes).toBe(0);
  });

  it('goes further step by step, up to the furthest allowed', () => {
    expect(further('idle', 'any')).toBe('cold');
    expect(further('warm', 'warm')).toBe('warm');
    expect(nearer('any', 'cold')).toBe('cold');
  });
});

describe('demotion effort', () => {
  const pass = (change: Partial<DemotionResult> = {}): DemotionResult => ({
    isColdIdle: false,
    isCrowded: false,
    nowMs: 1000,
    orderedBytes: 64 * MIB,
    triedBytes: 64 * MIB,
    movedBytes: 64 * MIB,
    hadPass: true,
    furthest: 'warm',
    candidateBytes: 64 * MIB,
    coldMemory: { idleBytes: 50 * MIB, belowHotBytes: 80 * MIB },
    nodeTotalBytes: GIB,
    ...change,
  });
  const effortAfter = (passes: readonly DemotionResult[], effort: DemotionEffort = FRESH_EFFORT) =>
    passes.reduce(nextEffort, effort);
  const failed = pass({ movedBytes: 0 });

  it('stays where it is while demotion succeeds', () => {
    expect(effortAfter([pass(), pass(), pass()])).toMatchObject({ reach: 'idle', restUntilMs: 0 });
  });

  const times = (count: number, result: DemotionResult) => Array.from({ length: count }, () => result);

  it('goes further when all candidates have been tried in vain, twice where the young filter has its first look', () => {
    expect(effortAfter([failed]).reach).toBe('cold');
    expect(effortAfter(times(2, failed)).reach).toBe('cold');
    expect(effortAfter(times(3, failed)).reach).toBe('warm');
  });

  it('not before, however many passes that takes', () => {
    const oneOfMany = pass({ movedBytes: 0, candidateBytes: 10 * 64 * MIB });
    expect(effortAfter(times(9, oneOfMany)).reach).toBe('idle');
    expect(effortAfter(times(10, oneOfMany)).reach).toBe('cold');
    // Twice 640 MiB would be more than the GiB that is looked through at most.
    expect(effortAfter(times(25, oneOfMany)).reach).toBe('cold');
    expect(effortAfter(times(26, oneOfMany)).reach).toBe('warm');
  });

  it('of a node of hundreds of GiB not all is tried: three steps in vain are enough', () => {
    const step = { orderedBytes: 2 * GIB, triedBytes: 2 * GIB, nodeTotalBytes: 512 * GIB };
    const oneOfMany = pass({ ...step, movedBytes: 0, candidateBytes: 100 * GIB });
    expect(effortAfter(times(2, oneOfMany)).reach).toBe('idle');
    expect(effortAfter(times(3, oneOfMany)).reach).toBe('cold');
  });

  it('a pass that moved something starts the round anew', () => {
    const oneOfTwo = pass({ movedBytes: 0, candidateBytes: 2 * 64 * MIB });
    const some = pass({ movedBytes: 16 * MIB, candidateBytes: 2 * 64 * MIB });
    for (const success of [pass(), some]) {
      expect(effortAfter([oneOfTwo, success, oneOfTwo]).reach).toBe('idle');
    }
    expect(effortAfter([oneOfTwo, oneOfTwo]).reach).toBe('cold');
  });

  it('hot memory is tried once before it gives up, as it is moved without another look', () => {
    const any = pass({ movedBytes: 0, furthest: 'any' });
    expect(effortAfter(times(6, any)).reach).toBe('any');
    expect(effortAfter(times(7, any))).toMatchObject({ reach: 'idle', restUntilMs: 6000 });
  });

  it('goes further when the pattern has run dry, though not for want of a pass', () => {
    const dry = pass({ triedBytes: MIB, movedBytes: MIB });
    const waiting = pass({ triedBytes: 0, movedBytes: 0, hadPass: false });
    expect(effortAfter([dry, dry, dry]).reach).toBe('cold');
    expect(effortAfter([waiting, waiting, waiting, waiting]).reach).toBe('idle');
  });

  const round = (nowMs: number, furthest: DemotionResult['furthest']) =>
    times(furthest === 'any' ? 7 : 5, { ...failed, nowMs, furthest });

  it('rests when the furthest fails too, twice as long each time over the target, and starts again with what is surely cold', () => {
    const first = effortAfter(round(1000, 'any'));
    expect(first).toMatchObject({ reach: 'idle', restUntilMs: 6000 });
    expect(effortAfter(round(6000, 'any'), first)).toMatchObject({ reach: 'idle', restUntilMs: 16_000 });
  });

  it('an exchange that fails a second time can wait for minutes', () => {
    const first = effortAfter(round(1000, 'warm'));
    expect(first).toMatchObject({ reach: 'idle', restUntilMs: 6000 });
    expect(effortAfter(round(6000, 'warm'), first)).toMatchObject({ reach: 'idle', restUntilMs: 126_000 });
  });

  it('a rest ends early when more memory is idle than what was tried in vain', () => {
    const resting = effortAfter(round(1000, 'warm'));
    expect(isResting(resting, 2000, 60 * MIB, GIB)).toBe(true);
    expect(isResting(resting, 2000, 75 * MIB, GIB)).toBe(false);
    expect(isResting(resting, 6000, 60 * MIB, GIB)).toBe(false);
  });

  it('is cautious after an exchange in vain, until enough has moved or much more is less than hot', () => {
    const cautious = effortAfter(round(1000, 'warm'));
    expect(isCautious(FRESH_EFFORT, 0, GIB)).toBe(false);
    expect(isCautious(cautious, 90 * MIB, GIB)).toBe(true);
    expect(isCautious(cautious, 110 * MIB, GIB)).toBe(false);
    const few = effortAfter([pass({ nowMs: 7000, triedBytes: 8 * MIB, movedBytes: 8 * MIB })], cautious);
    expect(isCautious(few, 90 * MIB, GIB)).toBe(true);
    expect(isCautious(effortAfter([pass({ nowMs: 8000 })], few), 90 * MIB, GIB)).toBe(false);
  });

  it('forgets how far it had to go once nothing has been wanted for a while', () => {
    const far = effortAfter([failed]);
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
    expect(effortAfter(times(10, half)).efficiency).toBeCloseTo(0.5, 1);
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
