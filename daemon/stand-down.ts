import { BoundedSysFs } from '../numa/bounded-sysfs.ts';
import { tryLock } from '../numa/syscalls/file-lock.ts';
import type { SysFs } from '../numa/sysfs.ts';
import { HostSysFs } from '../numa/sysfs.ts';
import { isKdamondCommand } from '../tiering/damon/admin.ts';
import type { StoodDown } from '../tiering/damon/stand-down.ts';
import { standDown } from '../tiering/damon/stand-down.ts';
import { inTime } from '../tiering/in-time.ts';
import { configured } from './client/client.ts';
import type { StandDownOptions } from './commands/command.ts';
import { StateDirectoryInUseError } from './errors.ts';
import { EXIT_LEFT_ON, EXIT_OK } from './exit-codes.ts';
import { readReceipt } from './state-file.ts';

/** Half of what the unit gives it. */
const LIMIT_MS = 10_000;
const FILE_LIMIT_MS = 2_000;

/**
 * `tierd stand-down`: switches off what a daemon that was killed left moving in DAMON, as its receipt tells. Nothing where there is none. Resolves with the exit
 * code; throws StateDirectoryInUseError while a daemon is at work.
 */
export async function standDownLeftovers(
  { stateDirectory }: StandDownOptions,
  write: (text: string) => void,
  sysfs: SysFs = new HostSysFs(),
  limitMs = LIMIT_MS,
): Promise<number> {
  const directory = stateDirectory ?? (await configured()).stateDirectory;
  const receipt = await inTime(readReceipt(directory), FILE_LIMIT_MS);
  if (receipt === undefined) return EXIT_OK;
  // Without locks nobody knows of another: then only what is running by this receipt is touched, as always.
  const lock = await inTime(tryLock(directory), FILE_LIMIT_MS).catch(() => 'unavailable' as const);
  if (lock === undefined) throw new StateDirectoryInUseError(directory);
  const bounded = new BoundedSysFs(sysfs, { limitMs: FILE_LIMIT_MS, isPatient: isKdamondCommand });
  const all = await standDown(bounded, receipt, { limitMs });
  for (const one of all) write(`${describe(one)}\n`);
  if (lock !== 'unavailable') await lock.close();
  return all.some(({ result }) => typeof result === 'object') ? EXIT_LEFT_ON : EXIT_OK;
}

function describe({ index, nodeId, result }: StoodDown): string {
  const which = `kdamond ${index} (node ${nodeId})`;
  if (result === 'quiet') return `${which}: its schemes are off, it goes on watching`;
  return result === 'off' ? `${which}: switched off` : `${which} may go on to move memory: ${result.reason}`;
}
