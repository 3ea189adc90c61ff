import { DEFAULT_POLICY } from '../../../tiering/policy.ts';
import { keepFreeBytes } from '../../../tiering/tuner/headroom.ts';
import { seededRandom } from './random.ts';
import type { Buffer, GradedMemory, HostOptions } from './simulated-host.ts';
import { MIB, SimulatedHost } from './simulated-host.ts';

export const MIB_PER_GIB = 1024;
const CHUNK_BYTES = 16 * MIB;
const HIGH_WATERMARK_MIB = 600;
/** What the kernel has of DRAM. */
const KERNEL_SHARE = 0.02;
/** Of DRAM, what programs may have once fastUtilization and the kernel are satisfied. */
const FITTING_SHARE = 0.93;

interface Sizes {
  readonly dramGiB: number;
  readonly cxlGiB: number;
}

/** A server of today: hundreds of GiB of DRAM beside a CXL expander. */
export function server({ dramGiB, cxlGiB }: Sizes, options: Partial<HostOptions> = {}): SimulatedHost {
  const dramMiB = dramGiB * MIB_PER_GIB;
  return new SimulatedHost({
    nodes: [
      {
        nodeId: 0,
        totalMiB: dramMiB,
        tier: 0,
        highWatermarkMiB: HIGH_WATERMARK_MIB,
        kernelMiB: dramMiB * KERNEL_SHARE,
      },
      {
        nodeId: 1,
        totalMiB: cxlGiB * MIB_PER_GIB,
        tier: 1,
        highWatermarkMiB: HIGH_WATERMARK_MIB,
        kernelMiB: MIB_PER_GIB,
      },
    ],
    chunkBytes: CHUNK_BYTES,
    migrationMiBPerSecond: 4000,
    ...options,
  });
}

interface Zipf {
  readonly blocks: number;
  readonly exponent: number;
  /** So many of the hottest blocks fit into DRAM; the next one is touched once in so long. */
  readonly fittingBlocks: number;
  readonly fittingEveryMs: number;
  readonly seed: number;
}

/** Accesses a second and page of blocks whose heat follows Zipf's law, in no order. */
function zipfRates({ blocks, exponent, fittingBlocks, fittingEveryMs, seed }: Zipf): Float64Array {
  const atRank = (rank: number) => 1 / (rank + 1) ** exponent;
  const scale = 1000 / fittingEveryMs / atRank(fittingBlocks);
  return Float64Array.from(shuffled(blocks, seed), (rank) => atRank(rank) * scale);
}

/** The numbers up to a count in a random order. */
export function shuffled(count: number, seed: number): number[] {
  const random = seededRandom(seed);
  const numbers = Array.from({ length: count }, (_, index) => index);
  for (let i = count - 1; i > 0; i -= 1) {
    const j = Math.floor(random() * (i + 1));
    [numbers[i], numbers[j]] = [numbers[j] ?? 0, numbers[i] ?? 0];
  }
  return numbers;
}

export function fittingGiB(dramGiB: number): number {
  return dramGiB * FITTING_SHARE;
}

interface ZipfHost extends Sizes {
  readonly usedGiB: number;
  readonly blockMiB: number;
  readonly exponent: number;
  /** How often a page of the block that just fits into DRAM is touched. */
  readonly fittingEveryMs: number;
  readonly seed: number;
}

/** A server whose memory follows Zipf's law and lies at random; DRAM is full. */
export function zipfServer(wanted: ZipfHost): { readonly host: SimulatedHost; readonly memory: GradedMemory } {
  const { dramGiB, usedGiB, blockMiB, exponent, fittingEveryMs, seed } = wanted;
  const host = server(wanted, { seed });
  const fittingBlocks = Math.floor((fittingGiB(dramGiB) * MIB_PER_GIB) / blockMiB);
  const blocks = (usedGiB * MIB_PER_GIB) / blockMiB;
  const rates = zipfRates({ blocks, exponent, fittingBlocks, fittingEveryMs, seed: seed + 100 });
  const memory = host.allocateGraded(rates, blockMiB * MIB, (block) => (block < fittingBlocks ? 0 : 1));
  return { host, memory };
}

/** The accesses that DRAM serves, as a share of those that it could serve if it held the hottest memory. */
export function servedOfPossible(host: SimulatedHost, dramGiB: number): number {
  const dram = { totalBytes: dramGiB * MIB_PER_GIB * MIB, highWatermarkBytes: HIGH_WATERMARK_MIB * MIB };
  return host.servedShare(0) / host.possibleShare(0, keepFreeBytes(dram, true, DEFAULT_POLICY));
}

/** A host whose DRAM is full of cold memory, with a tenth of its size hot below; all else grows with it. */
export function tenthHotBelow(dramGiB: number): {
  readonly host: SimulatedHost;
  readonly hot: Buffer;
  readonly hotMiB: number;
} {
  const totalMiB = dramGiB * MIB_PER_GIB;
  const watermark = (share: number) => Math.min(HIGH_WATERMARK_MIB, totalMiB * share);
  const host = new SimulatedHost({
    nodes: [
      { nodeId: 0, totalMiB, tier: 0, highWatermarkMiB: watermark(0.04), kernelMiB: totalMiB * 0.03 },
      { nodeId: 1, totalMiB, tier: 1, highWatermarkMiB: watermark(0.02), kernelMiB: totalMiB * 0.01 },
    ],
    chunkBytes: Math.max(MIB / 4, (dramGiB * MIB) / 32),
    migrationMiBPerSecond: 4000,
    seed: 3,
  });
  const whole = (mib: number) => Math.floor(mib / 32) * 32;
  const hotMiB = whole(totalMiB * 0.1);
  host.allocate('cold', 0, whole(totalMiB * 0.92), 0);
  return { host, hot: host.allocate('hot', 1, hotMiB, 0.9), hotMiB };
}
