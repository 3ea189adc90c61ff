import type { UserProcess } from '../../numa/page-maps/processes.ts';
import type { JobRecord, MigrationEnd } from './job-record.ts';
import { readProcessMemory } from './process-memory.ts';
import type { MigrationEffects, PartEnd } from './process-mover.ts';
import { ProcessMover, refusalOfProcess } from './process-mover.ts';
import { targetProcesses } from './target-processes.ts';

/** How often the target's processes are listed: a cgroup that forks without end must not keep a migration from ending. */
const MAX_ROUNDS = 3;

/**
 * Runs a migration from beginning to end: every process of the target, those that came meanwhile, and once more what was busy.
 * Processes that exit are no errors; those that the kernel refuses are told, and the others move. Throws SysFsError when the processes
 * cannot be listed, SyscallError when the kernel refuses the order as a whole.
 *
 * @param only of an order with a pid: the process that had it when the order was given, since another one may have it by now
 */
export async function runMigration(
  record: JobRecord,
  effects: MigrationEffects,
  signal: AbortSignal,
  only?: UserProcess,
): Promise<MigrationEnd> {
  const mover = new ProcessMover(record, effects, signal);
  const seen = new Set<string>();
  for (let round = 0; round < MAX_ROUNDS; round++) {
    const newcomers = await findNewcomers(record, effects, signal, seen, only);
    if (signal.aborted) return endOf(record, 'stopped');
    if (newcomers.size === 0) break;
    for (const [process, bytes] of newcomers) {
      record.say(`moving memory of process ${process.pid}`);
      const end = signal.aborted ? 'stopped' : await mover.move(process, bytes);
      if (end === 'stopped' || end === 'full') return endOf(record, end);
    }
  }
  record.say('trying once more what was busy');
  return endOf(record, await mover.retry());
}

/** Processes not seen before, and their bytes on the nodes to leave. */
async function findNewcomers(
  record: JobRecord,
  { sysfs, pageBytes }: MigrationEffects,
  signal: AbortSignal,
  seen: Set<string>,
  only: UserProcess | undefined,
): Promise<ReadonlyMap<UserProcess, number>> {
  const from = new Set(record.order.from);
  const newcomers = new Map<UserProcess, number>();
  for (const process of await targetProcesses(sysfs, record.order.target)) {
    if (signal.aborted) break;
    // What a process runs after execve(2) has other memory.
    const key = `${process.pid} ${process.startTime} ${process.program}`;
    if (seen.has(key) || (only !== undefined && only.startTime !== process.startTime)) continue;
    seen.add(key);
    try {
      const { bytes } = await readProcessMemory(sysfs, process.pid, from, pageBytes);
      record.processSeen(bytes);
      newcomers.set(process, bytes);
    } catch (error) {
      const errno = refusalOfProcess(error);
      if (errno === undefined) throw error;
      record.processSeen(0);
      record.processFailed(process.pid, errno, 0);
    }
  }
  return newcomers;
}

function endOf(record: JobRecord, end: PartEnd): MigrationEnd {
  if (end === 'stopped') return { state: 'cancelled', message: 'stopped between two batches' };
  if (end === 'full') {
    record.failed('ENOMEM', record.totalBytes - record.handledBytes);
    const { to } = record.order;
    return { state: 'failed', message: `no room on node ${to}: its free memory is down to its high watermark` };
  }
  const { processesFailed, processesSeen, refusal } = record;
  if (processesFailed > 0) {
    const message = `${processesFailed} of ${processesSeen} processes did not move: ${refusal}`;
    return { state: processesFailed >= processesSeen ? 'failed' : 'done', message };
  }
  const message = doneMessage(record);
  return { state: 'done', ...(message !== undefined && { message }) };
}

function doneMessage({ order, processesSeen, processesGone, handledBytes, failures }: JobRecord): string | undefined {
  if (processesSeen === 0) {
    return 'pid' in order.target ? `process ${order.target.pid} had exited before its turn` : 'no process was there';
  }
  if (processesGone > 0) {
    if ('pid' in order.target) return `process ${order.target.pid} exited meanwhile`;
    return `${processesGone} ${processesGone === 1 ? 'process' : 'processes'} exited meanwhile`;
  }
  if (handledBytes === 0) return `nothing to move: no memory on node ${order.from.join(', ')}`;
  const worst = failures[0];
  return worst === undefined ? undefined : `some memory stayed: ${worst.reason}`;
}
