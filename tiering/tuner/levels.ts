import type { HeatHistogram } from '../heat/heat-histogram.ts';
import { bytesFrom, HEAT_CLASSES, shareOfClass } from '../heat/heat-histogram.ts';
import type { Policy } from '../policy.ts';

/** While all that is touched fits, an exchange wants this share of samples: one look with an access may be anything. */
export const LEAST_EXCHANGE_SHARE = 0.2;
/** Above it heat cannot be told apart: nearly every sample sees an access. */
const SATURATED_CLASS = Math.floor(0.9 * HEAT_CLASSES);

/**
 * What counts as hot and cold around a fast node, for now: relative to what it can hold (the idea of MEMTIS, SOSP 2023). Counts are accesses seen by the
 * samples of one aggregation.
 */
export interface HeatLevels {
  /** More is touched than the fast node can hold: only the hottest of it counts as hot. */
  readonly isCrowded: boolean;
  /** The coldest heat that fits, as a class of HeatHistogram; 0: all that is touched fits. */
  readonly borderClass: number;
  /** From here on a region goes up, and others make room for it. */
  readonly hotFrom: number;
  /** From here on a region goes up when there is room. */
  readonly fillFrom: number;
  /** Up to here a region goes down to make room for hotter memory. */
  readonly coldUpTo: number;
  /** Once it is crowded: what should trade places. */
  readonly exchange: Exchange;
}

/** Memory of slow nodes that is surely hotter, and as much of the fast node that is surely colder, than a heat between them. */
interface Exchange {
  readonly bytes: number;
  readonly fromClass: number;
  /** By how much the one is hotter than the other at least, in shares of samples. */
  readonly heatDifference: number;
}

const NO_EXCHANGE: Exchange = { bytes: 0, fromClass: HEAT_CLASSES, heatDifference: 0 };

/** The heat of one node. */
export interface NodeHeat {
  readonly heat: HeatHistogram;
  /** Its memory that can move: free memory between hot pages looks warm, so no more than this is. */
  readonly movableBytes: number;
}

export interface MemoryAround {
  readonly fast: NodeHeat;
  /** Of the nodes that promote into it. */
  readonly slow: readonly NodeHeat[];
  /** What the fast node may hold. */
  readonly capacityBytes: number;
  /** Of the fast node: free memory, and the kernel's own. It looks cold and makes no room. */
  readonly deadBytes: number;
  /** Samples in an aggregation. */
  readonly maxNrAccesses: number;
}

/** The levels of a fast node and of those that promote into it. Pure. */
export function heatLevels(memory: MemoryAround, policy: Policy): HeatLevels {
  const { fast, slow, capacityBytes, maxNrAccesses } = memory;
  const floor = nrAccessesOf(policy.promotion.minAccessRate, maxNrAccesses);
  const ceiling = Math.floor(policy.demotion.maxAccessRate * maxNrAccesses);
  const borderClass = borderOf([fast, ...slow], capacityBytes);
  if (borderClass <= 1) {
    const hotFrom = Math.max(floor, nrAccessesOf(LEAST_EXCHANGE_SHARE, maxNrAccesses));
    return { isCrowded: false, borderClass: 0, hotFrom, fillFrom: floor, coldUpTo: 0, exchange: NO_EXCHANGE };
  }
  const exchange = exchangeOf(memory);
  const dividingClass = exchange.bytes > 0 ? exchange.fromClass : Math.min(borderClass, SATURATED_CLASS);
  const dividing = nrAccessesOf(shareOfClass(dividingClass), maxNrAccesses);
  const hotFrom = Math.min(maxNrAccesses, Math.max(floor, dividing));
  return {
    isCrowded: true,
    borderClass,
    hotFrom,
    fillFrom: Math.max(floor, hotFrom - 1),
    coldUpTo: Math.max(0, Math.min(ceiling, hotFrom - 1)),
    exchange,
  };
}

/** The lowest class of heat of which, with all that is hotter, no more is there than fits. */
function borderOf(nodes: readonly NodeHeat[], capacityBytes: number): number {
  const seen = nodes.map(() => 0);
  for (let heat = HEAT_CLASSES - 1; heat > 0; heat -= 1) {
    let bytes = 0;
    nodes.forEach((node, index) => {
      seen[index] = (seen[index] ?? 0) + (node.heat.likely[heat] ?? 0);
      bytes += Math.min(seen[index] ?? 0, node.movableBytes);
    });
    if (bytes > capacityBytes) return heat + 1;
  }
  return 1;
}

/** The heat that divides most: as much as possible surely hotter than it below, and surely colder above. Of equally good ones the one in the middle. */
function exchangeOf({ fast, slow, deadBytes }: MemoryAround): Exchange {
  let hotterBytes = slow.reduce((total, { heat }) => total + bytesFrom(heat.atLeast, 1), 0);
  const mostBytes = slow.reduce((total, { movableBytes }) => total + movableBytes, 0);
  let colderBytes = fast.heat.atMost[0] ?? 0;
  let best = 0;
  let [first, last] = [HEAT_CLASSES, HEAT_CLASSES];
  for (let heat = 1; heat < HEAT_CLASSES; heat += 1) {
    const bytes = Math.min(hotterBytes, mostBytes, Math.max(0, colderBytes - deadBytes));
    if (bytes > best) [best, first, last] = [bytes, heat, heat];
    else if (bytes === best && best > 0) last = heat;
    for (const node of slow) hotterBytes -= node.heat.atLeast[heat] ?? 0;
    colderBytes += fast.heat.atMost[heat] ?? 0;
  }
  if (best === 0) return NO_EXCHANGE;
  const fromClass = Math.floor((first + last) / 2);
  const hotter = meanHeat(
    slow.map(({ heat }) => heat.atLeast),
    fromClass,
    HEAT_CLASSES,
  );
  const colder = meanHeat([fast.heat.atMost], 0, fromClass);
  return { bytes: best, fromClass, heatDifference: Math.max(0, hotter - colder) };
}

function meanHeat(histograms: readonly (readonly number[])[], from: number, to: number): number {
  let [bytes, heatBytes] = [0, 0];
  for (const histogram of histograms) {
    for (let heat = from; heat < to; heat += 1) {
      bytes += histogram[heat] ?? 0;
      heatBytes += (histogram[heat] ?? 0) * shareOfClass(heat);
    }
  }
  return bytes === 0 ? 0 : heatBytes / bytes;
}

/** Fewest accesses that are at least this share of the samples; one at least. */
export function nrAccessesOf(share: number, maxNrAccesses: number): number {
  // A share such as 0.3 must not become four of ten samples by rounding.
  return Math.max(1, Math.ceil(share * maxNrAccesses - 1e-9));
}

/** Bytes that are surely hotter than what divides hot from cold. */
export function surelyHotBytes({ atLeast }: HeatHistogram, { exchange }: HeatLevels): number {
  return exchange.bytes === 0 ? 0 : bytesFrom(atLeast, exchange.fromClass);
}
