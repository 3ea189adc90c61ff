import { describe, expect, it } from 'vitest';
import {
  fittingGiB,
  MIB_PER_GIB,
  servedOfPossible,
  server,
  shuffled,
  tenthHotBelow,
  zipfServer,
} from './large-hosts.ts';
import { MIB } from './simulated-host.ts';

/** Hosts as they are: hundreds of GiB, all of it touched, some of it more often. */

const BLOCK_MIB = 64;
const DRAM_GIB = 512;
const SERVER = { dramGiB: DRAM_GIB, cxlGiB: 1024 };
/** Each runs for minutes of the host's time; other work may slow the machine. */
const TIMEOUT_MS = 300_000;

const blocksOf = (gib: number) => Math.floor((gib * MIB_PER_GIB) / BLOCK_MIB);
const graded = (count: number, rateOf: (block: number) => number) =>
  Float64Array.from({ length: count }, (_, block) => rateOf(block));

describe('DRAM full of cold memory, a tenth of its size hot below', () => {
  it.each([1, 12, 14, 32, 128, 512, 1024])(
    'the hot memory goes up, and no more moves than must: %i GiB of DRAM',
    (dramGiB) => {
      const { host, hot, hotMiB } = tenthHotBelow(dramGiB);
      // At 1024 MiB a second the room is made, then filled.
      const atLimitSeconds = (2 * hotMiB) / 1024;

      const seconds = host.runUntil(() => host.mibOn(hot, 0) >= 0.95 * hotMiB, 1000);
      host.run(30);

      expect(seconds).toBeLessThanOrEqual(1.5 * atLimitSeconds + 20);
      expect(host.movedMiB).toBeLessThanOrEqual(1.15 * 2 * hotMiB);
    },
    TIMEOUT_MS,
  );
});

describe('900 GiB whose heat follows Zipf’s law on 512 GiB of DRAM', () => {
  const zipf = (fittingEveryMs: number, seed: number) =>
    zipfServer({ ...SERVER, usedGiB: 900, blockMiB: BLOCK_MIB, exponent: 0.99, fittingEveryMs, seed });

  // Over seeds 1 to 5: 0.890 to 0.930, and 0.904 to 0.920.
  it.each([
    [5000, 1, 0.9],
    [5000, 4, 0.88],
    [60_000, 1, 0.9],
    [60_000, 3, 0.9],
  ])(
    'DRAM serves most of what it could after ten minutes: what just fits is touched every %i ms, seed %i',
    (fittingEveryMs, seed, least) => {
      const { host } = zipf(fittingEveryMs, seed);
      expect(servedOfPossible(host, DRAM_GIB)).toBeLessThan(0.75);

      host.run(600);

      expect(servedOfPossible(host, DRAM_GIB)).toBeGreaterThanOrEqual(least);
      const { movedMiB } = host;
      host.run(300);
      const perMinute = (host.movedMiB - movedMiB) / 5;
      // What is touched every minute is seen too seldom to come to rest sooner: up to 1.3 % of DRAM a minute.
      const rest = fittingEveryMs < 60_000 ? 0.01 : 0.015;
      expect(perMinute).toBeLessThanOrEqual(rest * DRAM_GIB * MIB_PER_GIB);
    },
    TIMEOUT_MS,
  );

  it.each([50, 500])(
    'DRAM serves more than 0.9 of what it could after three minutes: what just fits is touched every %i ms',
    (fittingEveryMs) => {
      const { host } = zipf(fittingEveryMs, 1);

      host.run(180);

      expect(servedOfPossible(host, DRAM_GIB)).toBeGreaterThanOrEqual(0.9);
      const { movedMiB } = host;
      host.run(30);
      expect(host.movedMiB - movedMiB).toBeLessThanOrEqual(0.005 * DRAM_GIB * MIB_PER_GIB);
    },
    TIMEOUT_MS,
  );
});

describe('memory of few rates', () => {
  it(
    'four classes touched 60, 20, 6 and 2 times a second and page, the hotter half on CXL: they are told apart',
    () => {
      const dramGiB = 128;
      const host = server({ dramGiB, cxlGiB: 256 });
      const blocks = blocksOf(225);
      const rank = shuffled(blocks, 101);
      const rates = graded(blocks, (block) => [60, 20, 6, 2][Math.floor((4 * (rank[block] ?? 0)) / blocks)] ?? 0);
      const coldestFirst = [...rates.keys()].sort((a, b) => (rates[a] ?? 0) - (rates[b] ?? 0));
      const above = new Set(coldestFirst.slice(0, blocksOf(fittingGiB(dramGiB))));
      host.allocateGraded(rates, BLOCK_MIB * MIB, (block) => (above.has(block) ? 0 : 1));
      expect(servedOfPossible(host, dramGiB)).toBeLessThan(0.2);

      host.run(240);

      expect(servedOfPossible(host, dramGiB)).toBeGreaterThanOrEqual(0.95);
    },
    TIMEOUT_MS,
  );

  it(
    'DRAM empty, 100 GiB touched every five seconds: all of it goes up within ten minutes',
    () => {
      const host = server(SERVER);
      host.allocateGraded(
        graded(blocksOf(100), () => 0.2),
        BLOCK_MIB * MIB,
        () => 1,
      );
      expect(host.runUntil(() => host.servedShare(0) >= 0.99, 600)).toBeLessThan(600);
    },
    TIMEOUT_MS,
  );

  it.each([
    [1, 15],
    [5, 6],
    [30, 2],
  ])(
    '240 GiB equally hot on 128 GiB of DRAM: next to nothing moves, touched %i times a second, for %i minutes',
    (touchesPerSecond, minutes) => {
      const host = server({ dramGiB: 128, cxlGiB: 512 });
      const above = blocksOf(fittingGiB(128));
      const rates = graded(blocksOf(240), () => touchesPerSecond);
      host.allocateGraded(rates, BLOCK_MIB * MIB, (block) => (block < above ? 0 : 1));

      host.run(minutes * 60);

      expect(host.movedMiB).toBeLessThanOrEqual(2 * MIB_PER_GIB);
    },
    TIMEOUT_MS,
  );
});

describe('heat that changes', () => {
  /** Mean share of the accesses that DRAM serves while two sets of 60 GiB are hot in turns; neither ever moved it is 0.5. */
  function servedWhileSwapping(everySeconds: number, phases: number): number {
    const host = server({ dramGiB: 128, cxlGiB: 256 });
    const set = blocksOf(60);
    const filler = blocksOf(fittingGiB(128)) - set;
    const hot = (phase: number) =>
      graded(2 * set + filler, (block) => (block < 2 * set && block < set === (phase % 2 === 0) ? 20 : 0));
    const isBelow = (block: number) => block >= set && block < 2 * set;
    const memory = host.allocateGraded(hot(0), BLOCK_MIB * MIB, (block) => (isBelow(block) ? 1 : 0));
    let served = 0;
    for (let phase = 0; phase < phases; phase += 1) {
      host.regrade(memory, hot(phase));
      for (let second = 0; second < everySeconds; second += 5) {
        host.run(5);
        served += (5 * host.servedShare(0)) / everySeconds / phases;
      }
    }
    return served;
  }

  it('two sets of 60 GiB swap every five minutes: most accesses go to DRAM', { timeout: TIMEOUT_MS }, () => {
    expect(servedWhileSwapping(300, 4)).toBeGreaterThanOrEqual(0.85);
  });

  it('every half minute: it is no worse than to leave them where they are', { timeout: TIMEOUT_MS }, () => {
    expect(servedWhileSwapping(30, 20)).toBeGreaterThanOrEqual(0.5);
  });

  it('one scan of 200 GiB pushes no hot memory out of a full DRAM', { timeout: TIMEOUT_MS }, () => {
    const host = server(SERVER);
    const [hot, scanned] = [blocksOf(fittingGiB(DRAM_GIB)), blocksOf(200)];
    const seconds = 100;
    const scanAt = (second: number) =>
      graded(hot + scanned, (block) => {
        const isRead = Math.floor(((block - hot) * seconds) / scanned) === second;
        return block < hot || isRead ? 20 : 0;
      });
    const memory = host.allocateGraded(scanAt(-1), BLOCK_MIB * MIB, (block) => (block < hot ? 0 : 1));
    host.run(60);

    for (let second = 0; second <= seconds; second += 1) {
      host.regrade(memory, scanAt(second));
      host.run(1);
    }
    host.run(60);

    expect(host.servedShare(0)).toBeGreaterThanOrEqual(0.99);
    expect(host.demotedMiB).toBeLessThanOrEqual(0.01 * DRAM_GIB * MIB_PER_GIB);
  });
});
