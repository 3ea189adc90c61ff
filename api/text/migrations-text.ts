import type { MigrationBody } from '../views/migration-view.ts';
import type { Column } from './columns.ts';
import { DEFAULT_COLUMNS, formatColumns } from './columns.ts';
import { formatBytes, formatShare } from './units.ts';
import { wrapped } from './wrap.ts';

const COLUMNS: readonly Column[] = [
  { title: 'ID', align: 'right' },
  { title: 'STATE', align: 'left' },
  { title: 'OF', align: 'left' },
  { title: 'NODES', align: 'left' },
  { title: 'DONE', align: 'right' },
  { title: 'MOVED', align: 'right' },
  { title: 'FAILED', align: 'right' },
  { title: 'RATE', align: 'right' },
];

const MAX_TARGET_LENGTH = 26;
const MAX_NODES_SHOWN = 4;

/** The one-shot migrations to read in a terminal, one line each. */
export function migrationsText(migrations: readonly MigrationBody[], columns = DEFAULT_COLUMNS): string {
  if (migrations.length === 0) return 'no migrations\n';
  return `${formatColumns(COLUMNS, migrations.map(cells), columns).join('\n')}\n`;
}

/** One migration to read in a terminal: its line, then what there is to say, then why bytes did not move. */
export function migrationText(migration: MigrationBody, columns = DEFAULT_COLUMNS): string {
  const { message, processes, totalBytes, maxBytesPerSecond, failures } = migration;
  const lines = [
    ...formatColumns(COLUMNS, [cells(migration)], columns),
    '',
    `${formatBytes(totalBytes)} of ${count(processes.seen)}, ${processes.gone} of them gone; at most ${formatBytes(maxBytesPerSecond)}/s`,
    ...(message === undefined ? [] : [message]),
    ...failures.map(({ reason, errno, bytes }) => `${formatBytes(bytes)} failed: ${reason} (${errno})`),
  ];
  return wrapped(lines, columns);
}

function cells({ id, state, target, from, to, ...progress }: MigrationBody): string[] {
  return [
    String(id),
    state,
    'pid' in target ? `process ${target.pid}` : endOfPath(target.cgroup),
    `${nodeList(from)} to ${to}`,
    formatShare(progress.progress),
    formatBytes(progress.movedBytes),
    formatBytes(progress.failedBytes),
    `${formatBytes(progress.bytesPerSecond)}/s`,
  ];
}

function nodeList(nodeIds: readonly number[]): string {
  const shown = nodeIds.slice(0, MAX_NODES_SHOWN);
  return `${shown.join(',')}${shown.length < nodeIds.length ? ',...' : ''}`;
}

function count(processes: number): string {
  return processes === 1 ? '1 process' : `${processes} processes`;
}

/** The end of a cgroup's path tells it from its neighbours. */
function endOfPath(path: string): string {
  return path.length <= MAX_TARGET_LENGTH ? path : `...${path.slice(3 - MAX_TARGET_LENGTH)}`;
}
