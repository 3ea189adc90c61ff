import { bootId } from '../../numa/kernel-identity.ts';
import type { SysFs } from '../../numa/sysfs.ts';
import { DamonAdmin } from '../damon/admin.ts';
import type { ProbedFeatures } from '../damon/features.ts';
import { probeFeatures } from '../damon/features.ts';
import { findOwnKdamonds } from '../damon/ownership.ts';
import type { Receipt } from '../damon/receipt.ts';

/** What is known of DAMON beside what single files say. */
export interface KnownDamon {
  /** Pids of kdamonds that tierd runs. */
  readonly ownKdamondPids: readonly number[];
  /** What this kernel's DAMON can do; undefined: nobody has tried since it was booted, and there is no scheme to look at. */
  readonly features: ProbedFeatures | undefined;
}

/**
 * What a receipt that a daemon left says, when it is of this boot: a daemon with another socket, or one that was killed, has left it. Without one, what can
 * be seen by reading only. Writes nothing, and never fails.
 */
export async function knownFromReceipt(sysfs: SysFs, receipt: Receipt | undefined): Promise<KnownDamon> {
  const ofThisBoot = receipt !== undefined && receipt.bootId === (await bootId(sysfs).catch(() => undefined));
  const found = ofThisBoot ? await findOwnKdamonds(new DamonAdmin(sysfs), receipt).catch(() => []) : [];
  return {
    ownKdamondPids: found.flatMap(({ pid }) => (pid === undefined ? [] : [pid])),
    features: (ofThisBoot ? receipt.features : undefined) ?? (await featuresInSight(sysfs)),
  };
}

/** From the schemes that are there, whoever made them. */
async function featuresInSight(sysfs: SysFs): Promise<ProbedFeatures | undefined> {
  const features = await probeFeatures(sysfs, { scratchAllowed: false }).catch(() => undefined);
  return features === undefined || features.actions.length === 0 ? undefined : features;
}
