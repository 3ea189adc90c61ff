import { bootId } from '../../numa/kernel-identity.ts';
import type { SysFs } from '../../numa/sysfs.ts';
import { SysFsError } from '../../numa/sysfs.ts';
import { OFF_AGE, OFF_BYTES } from '../scheme-off.ts';
import type { AdminOptions } from './admin.ts';
import { DamonAdmin } from './admin.ts';
import { findOwnKdamonds } from './ownership.ts';
import type { Receipt } from './receipt.ts';

/** What became of a kdamond that an earlier process left. */
export interface StoodDown {
  readonly index: number;
  readonly nodeId: number;
  /** `quiet`: it goes on watching; `off`: its schemes could not be switched off, so it was; otherwise why neither was possible. */
  readonly result: 'quiet' | 'off' | { readonly reason: string };
}

/**
 * Switches off the schemes of the kdamonds that a receipt tells of: nobody decides for them any more, and whatever else a start does may take long, or fail.
 * Each by itself; writes to none that is not ours. Throws nothing.
 */
export async function standDown(
  sysfs: SysFs,
  receipt: Receipt | undefined,
  options: AdminOptions = {},
): Promise<readonly StoodDown[]> {
  const admin = new DamonAdmin(sysfs, options);
  const isOfThisBoot = receipt !== undefined && receipt.bootId === (await bootId(sysfs).catch(() => undefined));
  if (!isOfThisBoot) return [];
  return Promise.all(
    receipt.kdamonds.map(async ({ index, desired: { nodeId } }) => {
      const only = { ...receipt, kdamonds: receipt.kdamonds.filter((kdamond) => kdamond.index === index) };
      try {
        const [found] = await findOwnKdamonds(admin, only);
        return found?.pid === undefined ? [] : [{ index, nodeId, result: await quieten(admin, index) }];
      } catch (error) {
        return [{ index, nodeId, result: { reason: messageOf(error) } }];
      }
    }),
  ).then((all) => all.flat());
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
