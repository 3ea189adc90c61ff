import type { FileHandle } from 'node:fs/promises';
import type { SysFs } from '../numa/sysfs.ts';
import type { Receipt } from '../tiering/damon/receipt.ts';
import type { Logger } from '../tiering/logger.ts';
import { StateDirectoryInUseError } from './errors.ts';
import { livingOwner, ownerOf } from './receipt-owner.ts';
import { lockStateDirectory, openStateDirectory, receiptFile } from './state-file.ts';

/** A state directory that is this process's alone. */
interface ClaimedState {
  /** To be closed in the end; undefined where there are no locks. */
  readonly lock: FileHandle | undefined;
  readonly loadReceipt: () => Promise<Receipt | undefined>;
  /** With this process as its owner. */
  readonly saveReceipt: (receipt: Receipt | undefined) => Promise<void>;
}

/**
 * Takes the state directory for this process, by a lock, and by the receipt where there are no locks (without koffi). Throws StateDirectoryError, and
 * StateDirectoryInUseError when another daemon has it.
 */
export async function claimState(directory: string, sysfs: SysFs, logger: Logger): Promise<ClaimedState> {
  await openStateDirectory(directory);
  const lock = await lockStateDirectory(directory, logger);
  try {
    const file = receiptFile(directory, logger);
    const self = ownerOf(sysfs, process.pid);
    const other = await livingOwner(sysfs, await file.load(), self);
    if (other !== undefined) throw new StateDirectoryInUseError(directory, other.pid);
    return {
      lock,
      loadReceipt: () => file.load(),
      saveReceipt: (receipt) => file.save(receipt && { ...receipt, ...(self && { owner: self }) }),
    };
  } catch (error) {
    await lock?.close();
    throw error;
  }
}
