import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { NodeObservation } from '../../../../tiering/observation.ts';
import { DEFAULT_POLICY } from '../../../../tiering/policy.ts';
import type { PageRounds, RoundContext, RoundOrders } from '../../../../tiering/tuner/page-rounds.ts';
import { isUnderWay, NO_PAGE_ROUNDS, pageRounds } from '../../../../tiering/tuner/page-rounds.ts';

const MIB = 1024 * 1024;
const [FAST, SLOW] = [0, 1];
const NOTHING = { promotedBytes: 0, demotedBytes: 0, promotionTriedBytes: 0, demotionTriedBytes: 0 };

function node(nodeId: number, totalMiB: number, change: Partial<NodeObservation> = {}): NodeObservation {
  const start = nodeId * 2 ** 40;
  return {
    nodeId,
    totalBytes: totalMiB * MIB,
    freeBytes: 0,
    movableBytes: totalMiB * MIB,
    highWatermarkBytes: 0,
    snapshot: {
      nodeId,
      takenAtMs: 0,
      maxNrAccesses: 10,
      aggregationIntervalMs: 500,
      regions: [{ start, end: start + totalMiB * MIB, nrAccesses: 1, age: 0 }],
    },
    ...NOTHING,
    ...change,
  };
}

function unseen(nodeId: number, totalMiB: number): NodeObservation {
  const { snapshot: _, ...rest } = node(nodeId, totalMiB);
  return rest;
}

function around(change: Partial<RoundContext> = {}): RoundContext {
  return {
    nowMs: 1000,
    sight: 'counts',
    fast: node(FAST, 1024),
    slow: [node(SLOW, 1024)],
    roomBytes: 512 * MIB,
    roomBelowBytes: 512 * MIB,
    slowShare: 0.5,
    touchedBytes: 512 * MIB,
    lukewarmShare: 1,
    limitBytes: 512 * MIB,
    policy: DEFAULT_POLICY,
    ...change,
  };
}

/** Follows rounds through a host whose every pass does at once what it was asked for. */
class Follower {
  nowMs = 1000;
  rounds: PageRounds = NO_PAGE_ROUNDS;
  orders: RoundOrders | undefined;

  /** @param young share of what is tried that a pass finds touched, by node */
  tick(context: Partial<RoundContext> = {}, young: Readonly<Record<number, number>> = {}): RoundOrders | undefined {
    const before = this.orders;
    const seen = (nodeId: number): NodeObservation => {
      const share = young[nodeId] ?? 0;
      const lookedBytes = before?.looks.get(nodeId) ?? 0;
      const promotionTriedBytes = before?.promotions?.get(nodeId) ?? 0;
      const demotionTriedBytes = nodeId === FAST ? (before?.demotionBytes ?? 0) : 0;
      return node(nodeId, 1024, {
        lookedBytes,
        youngBytes: share * lookedBytes,
        promotionTriedBytes,
        promotedBytes: share * promotionTriedBytes,
        demotionTriedBytes,
        demotedBytes: (1 - share) * demotionTriedBytes,
      });
    };
    this.nowMs += 500;
    const all = around({ nowMs: this.nowMs, fast: seen(FAST), slow: [seen(SLOW)], ...context });
    [this.rounds, this.orders] = pageRounds(this.rounds, all);
    return this.orders;
  }

  get stage(): string {
    return this.rounds.stages[0]?.type ?? 'rest';
  }

  /** Ticks until a stage begins; false: it never did within so many ticks. */
  until(stage: string, context: Partial<RoundContext> = {}, young: Readonly<Record<number, number>> = {}): boolean {
    for (let tick = 0; tick < 1000; tick += 1) {
      this.tick(context, young);
      if (this.stage === stage) return true;
    }
    return false;
  }
}

describe('rounds of page looks', () => {
  it('fill room: slow memory is looked at, and a window later what was touched goes up', () => {
    const host = new Follower();
    expect(host.tick()?.looks).toEqual(new Map([[SLOW, expect.any(Number)]]));
    const clearedAtMs = host.nowMs;
    expect(host.until('fill')).toBe(true);
    expect(host.nowMs - clearedAtMs).toBeGreaterThanOrEqual(host.rounds.windowMs);
    expect(host.orders?.promotions?.get(SLOW)).toBeGreaterThan(0);
    expect(host.orders?.demotionBytes).toBeUndefined();
  });

  it('never try more at a time than the room takes, were all of it young and the order to serve two passes', () => {
    fc.assert(
      fc.property(fc.integer({ min: 8, max: 1024 }), fc.double({ min: 0, max: 1, noNaN: true }), (roomMiB, share) => {
        const host = new Follower();
        const room = { roomBytes: roomMiB * MIB };
        host.until('fill', room, { [SLOW]: share });
        const tried = host.orders?.promotions?.get(SLOW) ?? 0;
        expect(2 * tried * (host.rounds.promotedShare ?? 1)).toBeLessThanOrEqual(room.roomBytes);
      }),
    );
  });

  it('take a longer window while room is left, up to half a minute, and then rest', () => {
    const host = new Follower();
    const windows = new Set<number>();
    for (let tick = 0; tick < 1000 && (tick === 0 || isUnderWay(host.rounds)); tick += 1) {
      host.tick({}, { [SLOW]: 0.1 });
      windows.add(host.rounds.windowMs);
    }
    expect([...windows].filter((ms) => ms > 0)).toEqual([2000, 4000, 8000, 16_000, 32_000]);
    expect(host.rounds.restUntilMs).toBeGreaterThan(host.nowMs);
  });

  it('take a shorter window when far more is touched within it than there is room for', () => {
    const host = new Follower();
    host.until('fill', { roomBytes: 64 * MIB }, { [SLOW]: 0.9 });
    const { windowMs } = host.rounds;
    host.until('wait', { roomBytes: 64 * MIB }, { [SLOW]: 0.9 });
    expect(host.rounds.windowMs).toBe(windowMs / 2);
  });

  it('exchange pages when those below are touched again more often than those above that were not', () => {
    const host = new Follower();
    const full = { roomBytes: 0 };
    // The same pages of the slow node each time; of the fast one nobody touches half.
    expect(host.until('exchange', full, { [SLOW]: 0.2, [FAST]: 0.5 })).toBe(true);
    expect(host.orders?.demotionBytes).toBeGreaterThan(0);
    expect(host.orders?.promotions?.get(SLOW)).toBeGreaterThan(0);
  });

  it('exchange nothing where all pages are equally hot', () => {
    const host = new Follower();
    const touchedWithin = (seconds: number) => 1 - Math.exp(-0.1 * seconds);
    for (let tick = 0; tick < 2000; tick += 1) {
      const share = touchedWithin((host.nowMs + 500 - host.rounds.lookedAtMs) / 1000);
      host.tick({ roomBytes: 0 }, { [SLOW]: share, [FAST]: share });
      expect(host.stage).not.toBe('exchange');
    }
  });

  it('exchange nothing where the kernel does not count, or no node below has room', () => {
    for (const lack of [{ sight: 'clears' as const }, { roomBelowBytes: 0 }]) {
      const host = new Follower();
      host.tick({ roomBytes: 0, ...lack }, { [SLOW]: 0.2 });
      expect(host.stage).toBe('rest');
    }
  });

  it('keep all else on the fast node, but what is over its target, or while filling makes room for plainly hot memory', () => {
    expect(new Follower().tick({ roomBytes: 0 })?.holdsDemotions).toBe(true);
    const over = new Follower();
    over.tick();
    expect(over.tick({ roomBytes: -MIB })?.holdsDemotions).toBe(false);
    const host = new Follower();
    expect(host.tick()?.holdsDemotions).toBe(true);
    expect(host.tick({ lukewarmShare: 0.3 })?.holdsDemotions).toBe(false);
  });

  it.each<[string, Partial<RoundContext>]>([
    ['the engine cannot tell pages apart', { sight: 'none' }],
    ['hardly an access goes to slow nodes', { slowShare: 0.02 }],
    ['nothing was seen yet', { slowShare: undefined }],
    ['the rates of regions tell hot memory plainly', { lukewarmShare: 0.3 }],
    ['next to nothing is touched', { touchedBytes: MIB }],
    ['nothing may move', { policy: { ...DEFAULT_POLICY, dryRun: true } }],
    ['hot memory is shared between the tiers', { policy: { ...DEFAULT_POLICY, hotShare: 0.8 } }],
    ['a node has not been seen', { slow: [unseen(SLOW, 1024)] }],
    ['no node promotes', { slow: [] }],
    [
      'a look at all pages takes longer than any window',
      { fast: node(FAST, 512 * 1024), slow: [node(SLOW, 1024 * 1024)] },
    ],
    [
      'the policy calls hot only what is touched far more often than a window tells',
      { policy: { ...DEFAULT_POLICY, promotion: { ...DEFAULT_POLICY.promotion, minAccessRate: 0.9 } } },
    ],
  ])('do not begin when %s', (_, lack) => {
    const [rounds, orders] = pageRounds(NO_PAGE_ROUNDS, around(lack));
    expect(isUnderWay(rounds)).toBe(false);
    expect(orders).toBeUndefined();
  });

  it('leave the window long enough to look at all pages twice: 32 GiB', () => {
    const [{ windowMs }] = pageRounds(
      NO_PAGE_ROUNDS,
      around({ fast: node(FAST, 16 * 1024), slow: [node(SLOW, 16 * 1024)] }),
    );
    expect(windowMs).toBe(16_000);
  });

  it('end their rest when more of the accesses go to slow nodes than before it', () => {
    const host = new Follower();
    const full = { roomBytes: 0, sight: 'clears' as const };
    host.tick(full);
    expect(host.rounds.restUntilMs).toBeGreaterThan(host.nowMs);
    for (let tick = 0; tick < 20; tick += 1) host.tick({ slowShare: 0.5 });
    expect(host.stage).toBe('rest');
    const restUntilMs = host.rounds.restUntilMs;
    expect(host.until('look', { slowShare: 0.9 })).toBe(true);
    expect(host.nowMs).toBeLessThan(restUntilMs);
  });

  it('begin anew with a short window when other pages are hot', () => {
    const host = new Follower();
    for (let tick = 0; tick < 500 && host.rounds.windowMs < 16_000; tick += 1) {
      host.tick({ slowShare: 0.2 }, { [SLOW]: 0.1 });
    }
    expect(host.rounds.windowMs).toBe(16_000);
    const windows: number[] = [];
    for (let tick = 0; tick < 20; tick += 1) {
      host.tick({ slowShare: 0.9 });
      windows.push(host.rounds.windowMs);
    }
    expect(windows).toContain(2000);
  });

  it('rest longer and longer when nothing comes of them', () => {
    const host = new Follower();
    const rests: number[] = [];
    for (let run = 0; run < 4; run += 1) {
      host.nowMs = Math.max(host.nowMs, host.rounds.restUntilMs);
      host.tick({ roomBytes: 0, sight: 'clears' });
      rests.push(host.rounds.restMs);
    }
    expect(rests).toEqual([60_000, 240_000, 960_000, 1_800_000]);
  });

  it('rest when no pass serves a look: half a look tells nothing', () => {
    const host = new Follower();
    host.tick();
    for (let tick = 0; tick < 100 && host.stage === 'look'; tick += 1) {
      host.orders = undefined;
      host.tick();
    }
    expect(host.stage).toBe('rest');
  });
});
