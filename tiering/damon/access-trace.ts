import type { SysFs } from '../../numa/sysfs.ts';
import { isGone, SysFsError } from '../../numa/sysfs.ts';
import { TraceUnavailableError } from './errors.ts';
import type { TraceFiles, TracePipe } from './trace-files.ts';
import { HostTraceFiles } from './trace-files.ts';
import type { AppliedRegion, CompletedAggregation } from './trace-parser.ts';
import { TraceParser } from './trace-parser.ts';

export interface AccessTraceOptions {
  readonly sysfs: SysFs;
  readonly files?: TraceFiles;
  /** Largest maxRegions of the kdamonds, and how many kdamonds: what the kernel's buffer must hold. */
  readonly maxRegions: number;
  readonly kdamonds: number;
  /** Also trace each region that a scheme acts on (damos_before_apply, Linux 6.7). Default false. */
  readonly appliedRegions?: boolean;
  /** Default: `tierd-` and our pid. */
  readonly instanceName?: string;
}

const TRACING = '/sys/kernel/tracing';
const INSTANCE_PREFIX = 'tierd-';
const AGGREGATED = 'damon_aggregated';
const APPLIED = 'damos_before_apply';

/** An event and its header in the ring buffer, rounded up. */
const EVENT_BYTES = 72;
/** Aggregations of all kdamonds that may wait to be read. */
const AGGREGATIONS_KEPT = 4;
const SMALLEST_BUFFER_KIB = 128;
/** Over all CPUs; a kdamond runs on any of them, so each needs a buffer. */
const LARGEST_TOTAL_KIB = 64 * 1024;
/** What one drain() reads at most, so that it ends even when lines come faster than they are read. */
const MAX_DRAIN_CHARS = 16 * 1024 * 1024;

/**
 * Size of the buffer of each CPU in KiB: room for a few aggregations of all kdamonds, less on machines of many CPUs, but
 * always one whole aggregation of one kdamond, which is written in one go.
 */
export function traceBufferKib(maxRegions: number, kdamonds: number, cpus: number): number {
  const oneKib = Math.ceil((maxRegions * EVENT_BYTES * 1.25) / 1024);
  const allKib = Math.ceil((maxRegions * kdamonds * AGGREGATIONS_KEPT * EVENT_BYTES) / 1024);
  const shareKib = Math.floor(LARGEST_TOTAL_KIB / Math.max(1, cpus));
  return Math.max(SMALLEST_BUFFER_KIB, oneKib, Math.min(allKib, shareKib));
}

/**
 * Streams what DAMON saw through a private tracefs instance (Documentation/trace/ftrace.rst): unlike `tried_regions` it makes
 * nobody wait for a kdamond and costs no folder for each region. Only kdamonds of ours are traced.
 *
 * Used on every kernel, as it is by far the cheaper way to a snapshot at any size. Reader's and kdamond's CPU time for one,
 * by tried_regions and by the trace, in an emulated guest (`npm run bench -- --only snapshot-ways`):
 *
 *              1,000 regions                    10,000 regions
 *     6.12     971 + 33 ms    94 + 8 ms         9,484 + 429 ms    555 + 42 ms
 *     7.3      808 + 41 ms   102 + 8 ms         7,324 + 393 ms    458 +  3 ms
 */
export class AccessTrace {
  readonly #options: AccessTraceOptions;
  readonly #sysfs: SysFs;
  readonly #files: TraceFiles;
  readonly #folder: string;
  readonly #parser: TraceParser;
  #pipe: TracePipe | undefined;
  #draining: Promise<readonly CompletedAggregation[]> | undefined;

  constructor(options: AccessTraceOptions) {
    this.#options = options;
    this.#sysfs = options.sysfs;
    this.#files = options.files ?? new HostTraceFiles(options.sysfs.root);
    this.#folder = `${TRACING}/instances/${options.instanceName ?? `${INSTANCE_PREFIX}${process.pid}`}`;
    // DAMON may exceed max_nr_regions for a while; far beyond it, it is not ours.
    this.#parser = new TraceParser({ maxRegions: Math.max(10_000, options.maxRegions * 4) });
  }

  /** Events that the kernel's buffer had no room for since start. */
  get lostEvents(): number {
    return this.#parser.lostEvents;
  }

  /** Aggregations dropped since start because they were not whole. */
  get droppedAggregations(): number {
    return this.#parser.droppedAggregations;
  }

  /** Makes the instance (stale ones of killed processes go) and traces the kdamonds of these pids. Throws TraceUnavailableError. */
  async start(pids: readonly number[]): Promise<void> {
    const tracing = await this.#sysfs.list(TRACING);
    if (!tracing.includes('instances')) {
      throw new TraceUnavailableError(
        `${TRACING} is not there: mount it with \`mount -t tracefs nodev ${TRACING}\` (the kernel needs CONFIG_TRACING)`,
      );
    }
    const events = await this.#sysfs.directories(`${TRACING}/events/damon`);
    if (!events.includes(AGGREGATED)) {
      throw new TraceUnavailableError(
        `the kernel has no trace event damon:${AGGREGATED}: it needs CONFIG_DAMON and tracing`,
      );
    }
    await this.#removeStaleInstances();
    try {
      await this.#sysfs.makeDirectory(this.#folder);
      // The clock that process.hrtime() reads, too.
      await this.#sysfs.write(`${this.#folder}/trace_clock`, 'mono');
      await this.#writeIfThere(`${this.#folder}/options/irq-info`, '0');
      const cpus = (await this.#sysfs.directories(`${this.#folder}/per_cpu`)).length;
      const kib = traceBufferKib(this.#options.maxRegions, this.#options.kdamonds, cpus);
      await this.#sysfs.write(`${this.#folder}/buffer_size_kb`, String(kib));
      await this.watch(pids);
      this.#pipe = await this.#files.openPipe(`${this.#folder}/trace_pipe`);
    } catch (cause) {
      await this.stop();
      throw new TraceUnavailableError(`cannot trace DAMON in ${this.#folder}: ${messageOf(cause)}`, cause);
    }
  }

  /** Traces the kdamonds of these pids from now on, and no others. */
  async watch(pids: readonly number[]): Promise<void> {
    // An empty list would mean every process.
    if (pids.length > 0) await this.#files.replace(`${this.#folder}/set_event_pid`, pids.join(' '));
    const on = pids.length > 0 ? '1' : '0';
    await this.#sysfs.write(`${this.#folder}/events/damon/${AGGREGATED}/enable`, on);
    if (this.#options.appliedRegions === true) {
      await this.#writeIfThere(`${this.#folder}/events/damon/${APPLIED}/enable`, on);
    }
  }

  /**
   * Reads what has come and returns the aggregations completed by it, oldest first. Never waits for new ones; empty before
   * start(). Throws TraceUnavailableError.
   */
  drain(): Promise<readonly CompletedAggregation[]> {
    this.#draining ??= this.#drain().finally(() => {
      this.#draining = undefined;
    });
    return this.#draining;
  }

  /** Regions that schemes acted on, as far as drained; empty unless `appliedRegions` is set. */
  takeApplied(): readonly AppliedRegion[] {
    return this.#parser.takeApplied();
  }

  /** Removes the instance. May be called at any time. */
  async stop(): Promise<void> {
    const pipe = this.#pipe;
    this.#pipe = undefined;
    await this.#draining?.catch(() => undefined);
    await pipe?.close().catch(() => undefined);
    this.#parser.reset();
    await this.#removeInstance(this.#folder);
  }

  async #drain(): Promise<readonly CompletedAggregation[]> {
    const completed: CompletedAggregation[] = [];
    for (let chars = 0; chars < MAX_DRAIN_CHARS; ) {
      const pipe = this.#pipe;
      if (pipe === undefined) break;
      let text: string | undefined;
      try {
        text = await pipe.read();
      } catch (cause) {
        throw new TraceUnavailableError(`cannot read ${this.#folder}/trace_pipe: ${messageOf(cause)}`, cause);
      }
      if (text === undefined) break;
      chars += text.length;
      completed.push(...this.#parser.push(text));
    }
    return completed;
  }

  async #removeStaleInstances(): Promise<void> {
    for (const name of await this.#sysfs.directories(`${TRACING}/instances`)) {
      if (name.startsWith(INSTANCE_PREFIX)) await this.#removeInstance(`${TRACING}/instances/${name}`);
    }
  }

  /** Best effort: the kernel keeps an instance that another process reads, and switches off the events of one it drops. */
  async #removeInstance(folder: string): Promise<void> {
    try {
      await this.#files.removeDirectory(folder);
    } catch {
      // It is gone, or it is not ours.
    }
  }

  async #writeIfThere(path: string, value: string): Promise<void> {
    try {
      await this.#sysfs.write(path, value);
    } catch (error) {
      if (!(error instanceof SysFsError && (isGone(error) || error.errno === 'EINVAL'))) throw error;
    }
  }
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
