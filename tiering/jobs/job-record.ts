import { failureReason, processFailureReason } from './failure-reason.ts';
import type { MigrationFailure, MigrationJob, MigrationOrder, MigrationState } from './migration-job.ts';

/** How a run came to its end. */
export interface MigrationEnd {
  readonly state: 'done' | 'cancelled' | 'failed';
  readonly message?: string;
}

/** Both clocks at one moment: the day's for people, the monotonic one for rates. */
export interface Moment {
  readonly date: Date;
  readonly monotonicMs: number;
}

/** One migration's states, queued -> running -> ended, and what it has done so far. Pure: it is told what happens and when. */
export class JobRecord {
  readonly id: number;
  readonly order: MigrationOrder;
  readonly #created: Moment;
  #started: Moment | undefined;
  #ended: Moment | undefined;
  #state: MigrationState = 'queued';
  #message: string | undefined;
  #seen = 0;
  #gone = 0;
  #scannedBytes = 0;
  #totalBytes = 0;
  #movedBytes = 0;
  #failedBytes = 0;
  #processesFailed = 0;
  #refusal = '';
  /** By reason. */
  readonly #failures = new Map<string, MigrationFailure>();

  constructor(id: number, order: MigrationOrder, created: Moment) {
    this.id = id;
    this.order = order;
    this.#created = created;
  }

  get state(): MigrationState {
    return this.#state;
  }

  get hasEnded(): boolean {
    return this.#state !== 'queued' && this.#state !== 'running';
  }

  get processesSeen(): number {
    return this.#seen;
  }

  get processesGone(): number {
    return this.#gone;
  }

  get processesFailed(): number {
    return this.#processesFailed;
  }

  /** Of the first process that was refused: which, and why. */
  get refusal(): string {
    return this.#refusal;
  }

  get movedBytes(): number {
    return this.#movedBytes;
  }

  get failedBytes(): number {
    return this.#failedBytes;
  }

  /** Bytes whose fate is known: moved or failed. */
  get handledBytes(): number {
    return this.#movedBytes + this.#failedBytes;
  }

  get totalBytes(): number {
    return this.#totalBytes;
  }

  get failures(): readonly MigrationFailure[] {
    return [...this.#failures.values()].sort((a, b) => b.bytes - a.bytes);
  }

  start(at: Moment): void {
    this.#state = 'running';
    this.#started = at;
  }

  end({ state, message }: MigrationEnd, at: Moment): void {
    this.#state = state;
    this.#message = message;
    this.#ended = at;
  }

  /** What the run is doing. */
  say(message: string): void {
    this.#message = message;
  }

  /** A process with so many bytes on the nodes to leave. */
  processSeen(bytes: number): void {
    this.#seen++;
    this.#totalBytes += bytes;
  }

  processGone(): void {
    this.#gone++;
  }

  scanned(bytes: number): void {
    this.#scannedBytes += bytes;
  }

  moved(bytes: number): void {
    this.#movedBytes += bytes;
  }

  failed(errno: string, bytes: number): void {
    if (bytes <= 0) return;
    this.#fail(failureReason(errno, this.order.to), errno, bytes);
  }

  /** The kernel refused a whole process, of which so many bytes were not dealt with. */
  processFailed(pid: number, errno: string, bytes: number): void {
    const reason = processFailureReason(errno, this.order.to);
    this.#processesFailed++;
    if (this.#refusal === '') this.#refusal = `process ${pid}: ${reason} (${errno})`;
    this.#fail(reason, errno, Math.max(0, bytes));
  }

  /** Another program runs in the process now; so many bytes went with the one before. */
  programReplaced(bytes: number): void {
    if (bytes > 0) this.#fail('process runs another program now', 'ESRCH', bytes);
  }

  #fail(reason: string, errno: string, bytes: number): void {
    this.#failedBytes += bytes;
    const key = `${errno} ${reason}`;
    this.#failures.set(key, { reason, errno, bytes: (this.#failures.get(key)?.bytes ?? 0) + bytes });
  }

  /** The job as it stands. */
  view(now: Moment): MigrationJob {
    const ranMs = this.#started === undefined ? 0 : (this.#ended ?? now).monotonicMs - this.#started.monotonicMs;
    return {
      id: this.id,
      state: this.#state,
      ...this.order,
      createdAt: this.#created.date.toISOString(),
      ...(this.#started && { startedAt: this.#started.date.toISOString() }),
      ...(this.#ended && { endedAt: this.#ended.date.toISOString() }),
      processes: { seen: this.#seen, gone: this.#gone },
      scannedBytes: this.#scannedBytes,
      totalBytes: this.#totalBytes,
      movedBytes: this.#movedBytes,
      failedBytes: this.#failedBytes,
      failures: this.failures,
      bytesPerSecond: ranMs > 0 ? Math.round((this.#movedBytes * 1000) / ranMs) : 0,
      progress: this.#progress(),
      ...(this.#message !== undefined && { message: this.#message }),
    };
  }

  #progress(): number {
    if (this.#state === 'done') return 1;
    const knownBytes = Math.max(this.#totalBytes, this.handledBytes);
    // What a failure has left behind is no progress.
    const dealtWith = this.#state === 'failed' ? this.#movedBytes : this.handledBytes;
    return knownBytes === 0 ? 0 : dealtWith / knownBytes;
  }
}
