import { bootId } from '../numa/kernel-identity.ts';
import { isOfOneProcess, userProcess } from '../numa/page-maps/processes.ts';
import type { SysFs } from '../numa/sysfs.ts';
import type { Receipt, ReceiptOwner } from '../tiering/damon/receipt.ts';

/** The process of a pid as it is now; undefined when there is none, or it has ended and waits for its parent. */
export function ownerOf(sysfs: SysFs, pid: number): ReceiptOwner | undefined {
  try {
    const found = userProcess(sysfs, pid);
    return found && { pid, startTime: found.startTime };
  } catch (error) {
    if (isOfOneProcess(error)) return undefined;
    throw error;
  }
}

/**
 * The daemon that a receipt is of, if it still runs and is not `self`: a pid counts with its start time and its boot only, as pids are used again. Undefined
 * for a receipt that names none.
 */
export async function livingOwner(
  sysfs: SysFs,
  receipt: Receipt | undefined,
  self: ReceiptOwner | undefined,
): Promise<ReceiptOwner | undefined> {
  const owner = receipt?.owner;
  if (receipt === undefined || owner === undefined || isSame(owner, self)) return undefined;
  if (receipt.bootId !== (await bootId(sysfs).catch(() => undefined))) return undefined;
  return isSame(owner, ownerOf(sysfs, owner.pid)) ? owner : undefined;
}

function isSame(one: ReceiptOwner, other: ReceiptOwner | undefined): boolean {
  return one.pid === other?.pid && one.startTime === other.startTime;
}
