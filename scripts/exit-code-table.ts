import type { ExitStatus } from '../daemon/exit-codes.ts';
import { markdownTable } from './markdown-table.ts';

/** The exit codes as a Markdown table. */
export function exitCodeTable(statuses: readonly ExitStatus[]): string {
  const rows = statuses.map(({ codes, errors, meaning }) => [
    codes.join(', '),
    errors.map((error) => `\`${error}\``).join(', '),
    meaning,
  ]);
  return markdownTable(['Code', 'Errors', 'What happened'], rows);
}
