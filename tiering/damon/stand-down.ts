import { bootId } from '../../numa/kernel-identity.ts';
import type { SysFs } from '../../numa/sysfs.ts';
import { SysFsError } from '../../numa/sysfs.ts';
import { inTime } from '../in-time.ts';
import { OFF_AGE, OFF_BYTES } from '../scheme-off.ts';
import type { AdminOptions } from './admin.ts';
import { DamonAdmin } from './admin.ts';
import { DamonReleasedError } from './errors.ts';
import { findOwnKdamonds } from './ownership.ts';
import type { Receipt, ReceiptKdamond } from './receipt.ts';

export interface StandDownOptions extends AdminOptions {
  /** How long each may take. */
  readonly limitMs?: number;
}

const LIMIT_MS = 5_000;

/** What became of a kdamond that an earlier process left. */
export interface StoodDown {
  readonly index: number;
  readonly nodeId: number;
  /** `quiet`: it goes on watching; `off`: its schemes could not be switched off, so it was; otherwise why neither was possible. */
  readonly result: 'quiet' | 'off' | { readonly reason: string };
}

/**
 * Switches off the schemes of the kdamonds that a receipt tells of: nobody decides for them any more, and whatever else a start does may take long, or fail.
 * Each by itself and within a limit; writes to none that is not ours. Throws nothing.
 */
export async function standDown(
  sysfs: SysFs,
  receipt: Receipt | undefined,
  options: StandDownOptions = {},
): Promise<readonly StoodDown[]> {
  let isWaitedFor = true;
  const admin = new DamonAdmin(sysfs, options, () => {
    // Somebody else may have orders for it by now.
    if (!isWaitedFor) throw new DamonReleasedError();
  });
  const isOfThisBoot = receipt !== undefined && receipt.bootId === (await bootId(sysfs).catch(() => undefined));
  if (!isOfThisBoot) return [];
  const standOne = async ({ index, desired: { nodeId } }: ReceiptKdamond): Promise<readonly StoodDown[]> => {
    const only = { ...receipt, kdamonds: receipt.kdamonds.filter((kdamond) => kdamond.index === index) };
    try {
      const [found] = await findOwnKdamonds(admin, only);
      return found?.pid === undefined ? [] : [{ index, nodeId, result: await quieten(admin, index) }];
    } catch (error) {
      return [{ index, nodeId, result: { reason: messageOf(error) } }];
    }
  };
  const all = receipt.kdamonds.map(async (kdamond) => {
    const { index, desired } = kdamond;
    const done = await inTime(standOne(kdamond), options.limitMs ?? LIMIT_MS);
    return done ?? [{ index, nodeId: desired.nodeId, result: { reason: 'it does not answer' } }];
  });
  const done = (await Promise.all(all)).flat();
  isWaitedFor = false;
  return done;
}

async function quieten(admin: DamonAdmin, index: number): Promise<StoodDown['result']> {
  try {
    const schemes = `${index}/contexts/0/schemes`;
    for (const name of (await admin.list(schemes)).filter((entry) => /^\d+$/.test(entry))) {
      if ((await admin.read(`${schemes}/${name}/action`)) === 'stat') continue;
      await admin.write(`${schemes}/${name}/access_pattern/age/min`, String(OFF_AGE));
      await admin.write(`${schemes}/${name}/quotas/bytes`, String(OFF_BYTES));
    }
    await admin.write(`${index}/state`, 'commit');
    return 'quiet';
  } catch (error) {
    // A cgroup of a filter may be gone, for one: the kernel takes no commit then.
    try {
      await admin.write(`${index}/state`, 'off');
      return 'off';
    } catch (offError) {
      const isOff = offError instanceof SysFsError && (await admin.state(index)).on === false;
      return isOff ? 'off' : { reason: `${messageOf(error)}; ${messageOf(offError)}` };
    }
  }
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
