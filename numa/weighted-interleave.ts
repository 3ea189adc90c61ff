import { KernelFormatError } from './errors.ts';
import { parseDecimal } from './numbers.ts';
import type { SysFs } from './sysfs.ts';

const FOLDER = '/sys/kernel/mm/mempolicy/weighted_interleave';
const AUTO = `${FOLDER}/auto`;

export interface NodeWeight {
  readonly nodeId: number;
  /** Pages that MPOL_WEIGHTED_INTERLEAVE takes from the node in each round, 1 to 255. */
  readonly weight: number;
}

export interface InterleaveWeights {
  /** `auto`: the kernel derives the weights from bandwidths (Linux 6.16); `manual`: they are what was written, 1 by default. */
  readonly mode: 'auto' | 'manual';
  /** The kernel has an `auto` attribute. */
  readonly hasAuto: boolean;
  /** By ascending node id. */
  readonly weights: readonly NodeWeight[];
}

/**
 * The weights of weighted interleaving, or undefined where the kernel has none (before Linux 6.9). Throws SysFsError,
 * KernelFormatError.
 */
export async function readInterleaveWeights(sysfs: SysFs): Promise<InterleaveWeights | undefined> {
  const names = (await sysfs.list(FOLDER)).filter((name) => /^node\d+$/.test(name));
  if (names.length === 0) return undefined;
  const auto = await sysfs.readIfPresent(AUTO);
  const weights: NodeWeight[] = [];
  for (const name of names) {
    const path = `${FOLDER}/${name}`;
    const text = await sysfs.readIfPresent(path);
    // The node went since the folder was listed.
    if (text !== undefined)
      weights.push({ nodeId: Number(name.slice('node'.length)), weight: parseWeight(text, path) });
  }
  weights.sort((a, b) => a.nodeId - b.nodeId);
  return { mode: isAuto(auto) ? 'auto' : 'manual', hasAuto: auto !== undefined, weights };
}

/**
 * Writes weights, which makes them manual. When one is refused, what was there before is put back, and the SysFsError of the
 * refusal is thrown.
 */
export async function writeInterleaveWeights(
  sysfs: SysFs,
  weights: readonly NodeWeight[],
  before: InterleaveWeights,
): Promise<void> {
  try {
    for (const { nodeId, weight } of weights) await sysfs.write(fileOf(nodeId), `${weight}\n`);
  } catch (error) {
    await restore(sysfs, weights, before);
    throw error;
  }
}

/** Gives the weights back to the kernel: `auto` where it has that, else its default of 1 each. Throws SysFsError. */
export async function resetInterleaveWeights(sysfs: SysFs, before: InterleaveWeights): Promise<void> {
  if (before.hasAuto) return sysfs.write(AUTO, '1\n');
  const defaults = before.weights.map(({ nodeId }) => ({ nodeId, weight: 1 }));
  await writeInterleaveWeights(sysfs, defaults, before);
}

async function restore(sysfs: SysFs, written: readonly NodeWeight[], before: InterleaveWeights): Promise<void> {
  // The refusal is what is told; a node that does not take its old weight either is most likely gone.
  if (before.mode === 'auto') return sysfs.write(AUTO, '1\n').catch(() => undefined);
  const touched = new Set(written.map(({ nodeId }) => nodeId));
  for (const { nodeId, weight } of before.weights) {
    if (touched.has(nodeId)) await sysfs.write(fileOf(nodeId), `${weight}\n`).catch(() => undefined);
  }
}

function fileOf(nodeId: number): string {
  return `${FOLDER}/node${nodeId}`;
}

function parseWeight(text: string, path: string): number {
  const weight = parseDecimal(text, path);
  if (weight > 255) throw new KernelFormatError(path, text, 'a weight up to 255');
  return weight;
}

function isAuto(text: string | undefined): boolean {
  if (text === undefined || text === 'false') return false;
  if (text === 'true') return true;
  throw new KernelFormatError(AUTO, text, 'true or false');
}
