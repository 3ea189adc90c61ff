import type { Policy } from './policy.ts';
import type { NodeSnapshot, Region, Temperatures } from './snapshot.ts';
import { hotThresholdNrAccesses } from './tuner/reach.ts';

export type Temperature = 'hot' | 'warm' | 'cold';

/** Share of a region's samples that saw an access, 0 to 1. */
export function accessRate(region: Region, snapshot: Pick<NodeSnapshot, 'maxNrAccesses'>): number {
  return Math.min(1, region.nrAccesses / snapshot.maxNrAccesses);
}

/** `hot` is what promotion wants, `cold` what was not accessed at all, `warm` what is between. */
export function temperatureOf({ nrAccesses }: Region, snapshot: NodeSnapshot, policy: Policy): Temperature {
  if (nrAccesses >= hotThresholdNrAccesses(policy, snapshot)) return 'hot';
  return nrAccesses === 0 ? 'cold' : 'warm';
}

/** Bytes of a snapshot by temperature. */
export function temperaturesOf(snapshot: NodeSnapshot, policy: Policy): Temperatures {
  const bytes = { hot: 0, warm: 0, cold: 0 };
  for (const region of snapshot.regions) bytes[temperatureOf(region, snapshot, policy)] += region.end - region.start;
  return { hotBytes: bytes.hot, warmBytes: bytes.warm, coldBytes: bytes.cold };
}
