import { describe, expect, it } from 'vitest';
import { shuffled } from './large-hosts.ts';
import { ALL_FEATURES } from './machines.ts';
import type { GradedMemory } from './simulated-host.ts';
import { MIB, SimulatedHost } from './simulated-host.ts';

/** Memory whose heat differs from page to page, as in any hash table: no region is hot, whatever its rate. The host is the guest of the tests, without its noise. */

const PAGE_BYTES = 4096;
const PAGES_OF_2_MIB = 512;
const ACCESSES_PER_SECOND = 50_000;
const USED_MIB = 1400;
const FAST_MIB = 560;
const HOST = {
  nodes: [
    { nodeId: 0, totalMiB: 969, tier: 0, highWatermarkMiB: 40, kernelMiB: 260 },
    { nodeId: 1, totalMiB: 1007, tier: 1, highWatermarkMiB: 10, kernelMiB: 10 },
  ],
  chunkBytes: PAGE_BYTES,
  migrationMiBPerSecond: 100,
};
/** What the default target leaves free. */
const KEPT_FREE_BYTES = 0.05 * 969 * MIB;
/** Each runs for minutes of the host's time; other work may slow the machine. */
const TIMEOUT_MS = 300_000;

/** Accesses a second and page of each block, by Zipf's law and in no order. */
function zipfRates(count: number, seed: number, pagesOfBlock = 1): Float64Array {
  const atRank = (rank: number) => 1 / (rank + 1) ** 0.99;
  const total = Array.from({ length: count }, (_, rank) => atRank(rank)).reduce((sum, heat) => sum + heat, 0);
  return Float64Array.from(
    shuffled(count, seed),
    (rank) => (ACCESSES_PER_SECOND * atRank(rank)) / total / pagesOfBlock,
  );
}

interface Placed {
  readonly host: SimulatedHost;
  readonly memory: GradedMemory;
}

/** The first `fastMiB` of memory on DRAM, the rest below. */
function placed(ratesPerSecond: Float64Array, usedMiB: number, fastMiB: number, features = ALL_FEATURES): Placed {
  const host = new SimulatedHost({ ...HOST, features });
  const blockBytes = (usedMiB * MIB) / ratesPerSecond.length;
  const memory = host.allocateGraded(ratesPerSecond, blockBytes, (block) =>
    block * blockBytes < fastMiB * MIB ? 0 : 1,
  );
  return { host, memory };
}

const ofPossible = (host: SimulatedHost) => host.servedShare(0) / host.possibleShare(0, KEPT_FREE_BYTES);

const pages = (USED_MIB * MIB) / PAGE_BYTES;

describe('hot and cold pages side by side, more than DRAM holds', () => {
  it(
    'DRAM soon serves nearly all that it could, and again when other pages are hot, with few moves',
    () => {
      const { host, memory } = placed(zipfRates(pages, 1), USED_MIB, FAST_MIB);
      expect(ofPossible(host)).toBeLessThan(0.5);
      host.run(120);
      expect(ofPossible(host)).toBeGreaterThanOrEqual(0.92);
      // The best placement takes some 620.
      expect(host.movedMiB).toBeLessThanOrEqual(1.5 * 620);

      host.regrade(memory, zipfRates(pages, 2));
      expect(ofPossible(host)).toBeLessThan(0.6);
      host.run(240);
      expect(ofPossible(host)).toBeGreaterThanOrEqual(0.9);
    },
    TIMEOUT_MS,
  );

  it(
    'nothing is exchanged where all pages are equally hot',
    () => {
      const equal = new Float64Array(pages).fill(ACCESSES_PER_SECOND / pages);
      const { host } = placed(equal, USED_MIB, FAST_MIB);
      host.run(30);
      const { movedMiB } = host;
      host.run(150);
      // Programs' memory comes and goes at the target.
      expect(host.movedMiB - movedMiB).toBeLessThanOrEqual(0.03 * 969);
    },
    TIMEOUT_MS,
  );

  it(
    'as far as there is room, DRAM is filled with what is touched where the kernel counts nothing, as on 6.12',
    () => {
      const features = { ...ALL_FEATURES, filterPassedBytes: false, commitsTargetNid: false };
      const { host } = placed(zipfRates(pages, 1), USED_MIB, FAST_MIB, features);
      host.run(60);
      expect(ofPossible(host)).toBeGreaterThanOrEqual(0.75);
    },
    TIMEOUT_MS,
  );
});

describe('blocks of 2 MiB', () => {
  it(
    'that all fit into empty DRAM go up within a minute, the hottest first',
    () => {
      const { host } = placed(zipfRates(300, 1, PAGES_OF_2_MIB), 600, 0);
      host.run(15);
      expect(host.servedShare(0)).toBeGreaterThanOrEqual(0.8);
      host.run(45);
      expect(host.servedShare(0)).toBeGreaterThanOrEqual(0.97);
      expect(host.demotedMiB).toBe(0);
    },
    TIMEOUT_MS,
  );

  it(
    'that do not all fit are exchanged until DRAM serves nearly all that it could',
    () => {
      const { host } = placed(zipfRates(700, 1, PAGES_OF_2_MIB), USED_MIB, FAST_MIB);
      host.run(120);
      expect(ofPossible(host)).toBeGreaterThanOrEqual(0.92);
      expect(host.movedMiB).toBeLessThanOrEqual(1.5 * 620);
    },
    TIMEOUT_MS,
  );
});
