import type { UserProcess } from '../../numa/page-maps/processes.ts';
import type { MovePages } from '../../numa/syscalls/move-pages.ts';
import type { SysFs } from '../../numa/sysfs.ts';
import type { Tell } from '../events/event.ts';
import type { Logger } from '../logger.ts';
import { Serial } from '../serial.ts';
import { MigrationQueueFullError } from './errors.ts';
import type { JobClock } from './job-clock.ts';
import { HOST_CLOCK } from './job-clock.ts';
import type { MigrationEnd } from './job-record.ts';
import { JobRecord } from './job-record.ts';
import type { MigrationJob, MigrationOrder, MigrationService } from './migration-job.ts';
import { runMigration } from './migration-run.ts';
import { requireTarget } from './target-processes.ts';

export interface MigrationJobsOptions {
  readonly sysfs: SysFs;
  readonly logger: Logger;
  readonly tell: Tell;
  /** Loads the system call; not before the first migration runs. */
  readonly loadMovePages: () => Promise<MovePages>;
  readonly clock?: JobClock;
}

const MAX_WAITING = 100;
const MAX_ENDED = 100;

interface Entry {
  readonly record: JobRecord;
  readonly abort: AbortController;
  /** Resolves when the migration has ended. */
  readonly ended: Promise<void>;
}

/** The one-shot migrations: runs one at a time, in the order they were asked for, and remembers those that ended lately. */
export class MigrationJobs implements MigrationService {
  readonly #options: MigrationJobsOptions;
  readonly #clock: JobClock;
  readonly #queue = new Serial();
  /** By id, ascending. */
  readonly #entries = new Map<number, Entry>();
  #lastId = 0;
  #isStopped = false;

  constructor(options: MigrationJobsOptions) {
    this.#options = options;
    this.#clock = options.clock ?? HOST_CLOCK;
  }

  async create(order: MigrationOrder): Promise<MigrationJob> {
    const only = await requireTarget(this.#options.sysfs, order.target);
    const waiting = [...this.#entries.values()].filter(({ record }) => record.state === 'queued').length;
    if (waiting >= MAX_WAITING) throw new MigrationQueueFullError(waiting);
    const record = new JobRecord(++this.#lastId, order, this.#clock.now());
    const abort = new AbortController();
    // Asked for while the daemon ends.
    if (this.#isStopped) abort.abort();
    const ended = this.#queue.run(() => this.#run(record, abort.signal, only));
    this.#entries.set(record.id, { record, abort, ended });
    return record.view(this.#clock.now());
  }

  list(): readonly MigrationJob[] {
    const now = this.#clock.now();
    return [...this.#entries.values()].map(({ record }) => record.view(now));
  }

  get(id: number): MigrationJob | undefined {
    return this.#entries.get(id)?.record.view(this.#clock.now());
  }

  async cancel(id: number): Promise<MigrationJob | undefined> {
    const entry = this.#entries.get(id);
    if (entry === undefined) return undefined;
    if (entry.record.hasEnded) this.#entries.delete(id);
    else await this.#stopOne(entry);
    return entry.record.view(this.#clock.now());
  }

  /** Cancels what runs and waits, and resolves once nothing moves any more. */
  async stop(): Promise<void> {
    this.#isStopped = true;
    const running = [...this.#entries.values()].filter(({ record }) => !record.hasEnded);
    await Promise.all(running.map((entry) => this.#stopOne(entry)));
  }

  async #stopOne({ record, abort, ended }: Entry): Promise<void> {
    abort.abort();
    // Its turn would come only when those before it have run.
    if (record.state === 'queued') this.#end(record, { state: 'cancelled', message: 'cancelled before it began' });
    else await ended;
  }

  async #run(record: JobRecord, signal: AbortSignal, only: UserProcess | undefined): Promise<void> {
    if (record.hasEnded) return;
    const { sysfs, logger, loadMovePages } = this.#options;
    record.start(this.#clock.now());
    this.#tell(record, `migration ${record.id} starts: ${describeOrder(record.order)}`);
    try {
      const effects = { sysfs, movePages: await loadMovePages(), clock: this.#clock };
      this.#end(record, await runMigration(record, effects, signal, only));
    } catch (error) {
      logger.error({ err: error }, `migration ${record.id} failed`);
      this.#end(record, { state: 'failed', message: error instanceof Error ? error.message : String(error) });
    }
  }

  #end(record: JobRecord, end: MigrationEnd): void {
    record.end(end, this.#clock.now());
    const why = end.message === undefined ? '' : ` (${end.message})`;
    const bytes = `${record.movedBytes} bytes moved, ${record.failedBytes} failed`;
    this.#tell(record, `migration ${record.id} ${end.state}: ${bytes}${why}`);
    const ended = [...this.#entries.values()].filter((entry) => entry.record.hasEnded);
    for (const entry of ended.slice(0, -MAX_ENDED)) this.#entries.delete(entry.record.id);
  }

  #tell({ id, state, movedBytes, failedBytes }: JobRecord, message: string): void {
    this.#options.tell({ type: 'migration', migrationId: id, state, movedBytes, failedBytes, message });
  }
}

function describeOrder({ target, from, to }: MigrationOrder): string {
  const what = 'pid' in target ? `process ${target.pid}` : `cgroup ${target.cgroup}`;
  return `${what}, from node ${from.join(', ')} to node ${to}`;
}
