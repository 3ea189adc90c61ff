import { readPageSize } from '../../numa/node-memory.ts';
import type { UserProcess } from '../../numa/page-maps/processes.ts';
import type { MovePages } from '../../numa/syscalls/move-pages.ts';
import type { SysFs } from '../../numa/sysfs.ts';
import { CpuAllowance } from '../cpu-allowance.ts';
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
import type { MigrationEffects } from './process-mover.ts';
import type { FindResident } from './resident-runs.ts';
import { hostResident } from './resident-runs.ts';
import { requireTarget } from './target-processes.ts';
import { Turns } from './turns.ts';

export interface MigrationJobsOptions {
  readonly sysfs: SysFs;
  readonly logger: Logger;
  readonly tell: Tell;
  /** Loads the system call; not before the first migration runs. */
  readonly loadMovePages: () => Promise<MovePages>;
  /** Finds what is in memory, for a page size. */
  readonly findResident?: (sysfs: SysFs, pageBytes: number) => FindResident;
  /** Share of one core that migrations may take, as it is at the moment. */
  readonly maxCpuShare: () => number;
  readonly clock?: JobClock;
  /** A migration has so much time before the next one begins beside it. */
  readonly aloneMs?: number;
}

const MAX_WAITING = 100;
const MAX_ENDED = 100;
/** Each holds up to some MiB of what it must try again. */
const MAX_RUNNING = 16;
const ALONE_MS = 10_000;

interface Entry {
  readonly record: JobRecord;
  readonly abort: AbortController;
  /** Resolves when the migration has ended. */
  readonly ended: Promise<void>;
}

/**
 * The one-shot migrations: begins one after another, in the order they were asked for, those that take long beside the next ones, and remembers those that
 * ended lately. All together keep to a share of a core.
 */
export class MigrationJobs implements MigrationService {
  readonly #options: MigrationJobsOptions;
  readonly #clock: JobClock;
  readonly #turns: Turns;
  readonly #steps = new Serial();
  readonly #allowance: CpuAllowance;
  /** By id, ascending. */
  readonly #entries = new Map<number, Entry>();
  #lastId = 0;
  #isStopped = false;

  constructor(options: MigrationJobsOptions) {
    this.#options = options;
    const clock = options.clock ?? HOST_CLOCK;
    this.#clock = clock;
    this.#turns = new Turns({ aloneMs: options.aloneMs ?? ALONE_MS, mostAtOnce: MAX_RUNNING });
    this.#allowance = new CpuAllowance({
      nowMs: () => clock.now().monotonicMs,
      cpuMs: () => clock.cpuMs(),
      sleep: (ms, signal) => clock.sleep(ms, signal),
    });
  }

  async create(order: MigrationOrder): Promise<MigrationJob> {
    const only = await requireTarget(this.#options.sysfs, order.target);
    const waiting = [...this.#entries.values()].filter(({ record }) => record.state === 'queued').length;
    if (waiting >= MAX_WAITING) throw new MigrationQueueFullError(waiting);
    const record = new JobRecord(++this.#lastId, order, this.#clock.now());
    const abort = new AbortController();
    // Asked for while the daemon ends.
    if (this.#isStopped) abort.abort();
    const ended = this.#turns.run(() => this.#run(record, abort.signal, only));
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
    const { logger, maxCpuShare } = this.#options;
    record.start(this.#clock.now());
    this.#tell(record, `migration ${record.id} starts: ${describeOrder(record.order)}`);
    try {
      const effects = await this.#effects();
      this.#end(record, await this.#allowance.during(maxCpuShare(), () => runMigration(record, effects, signal, only)));
    } catch (error) {
      logger.error({ err: error }, `migration ${record.id} failed`);
      this.#end(record, { state: 'failed', message: error instanceof Error ? error.message : String(error) });
    }
  }

  async #effects(): Promise<MigrationEffects> {
    const { sysfs, loadMovePages, findResident = hostResident, maxCpuShare } = this.#options;
    const [movePages, pageBytes] = await Promise.all([loadMovePages(), readPageSize(sysfs)]);
    return {
      sysfs,
      movePages,
      pageBytes,
      clock: this.#clock,
      findResident: findResident(sysfs, pageBytes),
      pause: (signal) => {
        // A whole core is no limit: an order keeps to its own speed.
        if (maxCpuShare() >= 1) return Promise.resolve();
        this.#allowance.limitTo(maxCpuShare());
        return this.#allowance.pause(signal);
      },
      steps: this.#steps,
    };
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
