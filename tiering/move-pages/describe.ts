import type { MigrationResult, Part, Shortfall } from './page-mover.ts';

/** One line for the log: how far an order was met, what finding the pages took, and why less has moved than was ordered. */
export function describe({ migration, result }: Part, cutBy: string | undefined): string {
  const { direction, fromNodeId, toNodeId, budgetBytes } = migration;
  const { movedBytes, triedBytes, busyMs } = result;
  const moved = `moved ${mib(movedBytes)} of ${mib(budgetBytes)} MiB, tried ${mib(triedBytes)}, in ${Math.round(busyMs)} ms`;
  const ending = result.shortfall === undefined ? [] : [endings(result.shortfall, toNodeId, cutBy)];
  return [`${direction} node ${fromNodeId} -> ${toNodeId}: ${moved}`, ...findings(result), ...ending].join('; ');
}

/** Of processes that were left out. */
const PIDS_SHOWN = 5;

function findings({ maps, lookMs, turnedHotBytes }: MigrationResult): readonly string[] {
  const found: string[] = [];
  if (maps !== undefined) {
    const ms = Math.round(maps.elapsedMs);
    const unreadable = maps.skipped.filter(({ reason }) => reason === 'unreadable').map(({ pid }) => pid);
    found.push(`maps: ${maps.processesRead} processes, ${maps.pagesScanned} pages in ${ms} ms`);
    if (unreadable.length > 0) {
      const shown = unreadable.slice(0, PIDS_SHOWN).join(', ');
      found.push(`${unreadable.length} processes could not be read or understood (such as ${shown})`);
    }
  }
  if (lookMs !== undefined) found.push(`looked for ${Math.round(lookMs)} ms`);
  if (turnedHotBytes !== undefined) found.push(`${mib(turnedHotBytes)} MiB turned hot and stayed`);
  return found;
}

function endings(shortfall: Shortfall, toNodeId: number, cutBy = 'the end'): string {
  switch (shortfall) {
    case 'exhausted':
      return 'no more there';
    case 'full':
      return `node ${toNodeId} is full`;
    case 'cut':
      return `cut short by ${cutBy}`;
    case 'unread':
      return 'page maps not read to the end';
    case 'refused':
      return 'too much would not move';
  }
}

function mib(bytes: number): string {
  return (bytes / 1024 / 1024).toFixed(1);
}
