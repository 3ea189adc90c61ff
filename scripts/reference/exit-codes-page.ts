import { EXIT_STATUSES } from '../../daemon/exit-codes.ts';
import { exitCodeTable } from '../exit-code-table.ts';
import { page } from './page.ts';

/** docs/reference/exit-codes.md. */
export function exitCodesPage(): string {
  return page(
    'Exit codes',
    'the table that the daemon and its commands use',
    `These are the exit codes of the daemon and of every command. The unit does not restart the daemon after an error that
a restart cannot fix (\`RestartPreventExitStatus=\`).`,
    exitCodeTable(EXIT_STATUSES),
  );
}
