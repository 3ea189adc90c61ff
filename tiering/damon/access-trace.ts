import { endianness } from 'node:os';
import { setImmediate as breathe } from 'node:timers/promises';
import { parseList } from '../../numa/list-format.ts';
import type { SysFs } from '../../numa/sysfs.ts';
import { isGone, SysFsError } from '../../numa/sysfs.ts';
import type { CompletedAggregation } from './aggregation-assembler.ts';
import { AggregationAssembler } from './aggregation-assembler.ts';
import { TraceUnavailableError } from './errors.ts';
import type { AppliedRegion } from './ring-page.ts';
import { readRingPage } from './ring-page.ts';
import { mostRegionsTraced, traceBufferKib } from './trace-buffer.ts';
import type { TraceFiles, TracePages } from './trace-files.ts';
import { HostTraceFiles } from './trace-files.ts';
import type { TraceLayout } from './trace-format.ts';
import { parseEntryTypes, parsePageLayout, parseRegionEvent } from './trace-format.ts';

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
const EVENTS = `${TRACING}/events`;
const INSTANCE_PREFIX = 'tierd-';
const AGGREGATED = 'damon_aggregated';
const APPLIED = 'damos_before_apply';

/** Applied regions kept until they are taken; the oldest go first. */
const MAX_APPLIED = 50_000;
/** Pages read at a stretch: a few milliseconds. */
const PAGES_AT_A_STRETCH = 512;
/** A CPU that gave nothing in so many drains is looked at only when something is missing. */
const COLD_AFTER_DRAINS = 8;

/** The buffer of one CPU. */
interface CpuBuffer {
  readonly cpu: number;
  readonly pages: TracePages;
  emptyDrains: number;
}

/** What start() has found and opened. */
interface OpenTrace {
  readonly layout: TraceLayout;
  readonly buffers: readonly CpuBuffer[];
  readonly page: Uint8Array;
  readonly words: Uint32Array;
}

/** Most regions of a kdamond that this host's CPUs can trace within the bound on the kernel's buffers. Throws TraceUnavailableError. */
export async function tracedRegionsLimit(sysfs: SysFs): Promise<number> {
  return mostRegionsTraced(await cpuCount(sysfs), await readLayout(sysfs, false));
}

/**
 * Streams what DAMON saw through a private tracefs instance (Documentation/trace/ftrace.rst): unlike `tried_regions` it makes
 * nobody wait for a kdamond and costs no folder for each region. Only kdamonds of ours are traced. The kernel's pages are read as they are, which takes an
 * eighth of what their text takes to parse.
 *
 * Used on every kernel, as it is by far the cheaper way to a snapshot at any size: `npm run bench -- --only snapshot-ways` compares it with tried_regions.
 */
export class AccessTrace {
  readonly #options: AccessTraceOptions;
  readonly #sysfs: SysFs;
  readonly #files: TraceFiles;
  readonly #folder: string;
  readonly #assembler: AggregationAssembler;
  /** Of one buffer, so that a drain ends even when pages come faster than they are read. */
  #mostPages = 0;
  #pids: readonly number[] = [];
  #applied: AppliedRegion[] = [];
  #open: OpenTrace | undefined;
  #draining: Promise<readonly CompletedAggregation[]> | undefined;

  constructor(options: AccessTraceOptions) {
    this.#options = options;
    this.#sysfs = options.sysfs;
    this.#files = options.files ?? new HostTraceFiles(options.sysfs.root);
    this.#folder = `${TRACING}/instances/${options.instanceName ?? `${INSTANCE_PREFIX}${process.pid}`}`;
    this.#assembler = new AggregationAssembler(mostCollected(options.maxRegions));
  }

  /** Events that the kernel's buffer had no room for since start. */
  get lostEvents(): number {
    return this.#assembler.lostEvents;
  }

  /** Aggregations dropped since start because they were not whole. */
  get droppedAggregations(): number {
    return this.#assembler.droppedAggregations;
  }

  /** Makes the instance (stale ones of killed processes go) and traces the kdamonds of these pids. Throws TraceUnavailableError. */
  async start(pids: readonly number[]): Promise<void> {
    const layout = await readLayout(this.#sysfs, this.#options.appliedRegions === true);
    const { maxRegions, kdamonds } = this.#options;
    const kib = await this.#bufferKib(maxRegions, kdamonds, layout);
    await this.#removeStaleInstances();
    const buffers: CpuBuffer[] = [];
    try {
      await this.#sysfs.makeDirectory(this.#folder);
      // The clock that process.hrtime() reads, too.
      await this.#sysfs.write(`${this.#folder}/trace_clock`, 'mono');
      await this.#resize(kib, layout);
      await this.watch(pids);
      for (const name of await this.#sysfs.directories(`${this.#folder}/per_cpu`)) {
        const pages = this.#files.openPages(`${this.#folder}/per_cpu/${name}/trace_pipe_raw`);
        buffers.push({ cpu: Number(name.replace('cpu', '')), pages, emptyDrains: 0 });
      }
      const memory = new ArrayBuffer(layout.page.pageBytes);
      this.#open = {
        layout,
        buffers,
        page: new Uint8Array(memory),
        words: new Uint32Array(memory),
      };
    } catch (cause) {
      for (const { pages } of buffers) closeQuietly(pages);
      await this.stop();
      throw new TraceUnavailableError(`cannot trace DAMON in ${this.#folder}: ${messageOf(cause)}`, cause);
    }
  }

  /** Traces the kdamonds of these pids from now on, and no others. */
  async watch(pids: readonly number[]): Promise<void> {
    this.#pids = pids;
    this.#assembler.keep(pids);
    // An empty list would mean every process.
    if (pids.length > 0) await this.#files.replace(`${this.#folder}/set_event_pid`, pids.join(' '));
    const on = pids.length > 0 ? '1' : '0';
    await this.#sysfs.write(`${this.#folder}/events/damon/${AGGREGATED}/enable`, on);
    if (this.#options.appliedRegions === true) {
      await this.#writeIfThere(`${this.#folder}/events/damon/${APPLIED}/enable`, on);
    }
  }

  /**
   * Reads what has come and gives the newest whole aggregation of each kdamond that has a new one, oldest first. Never waits for new ones; empty before
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
    const applied = this.#applied;
    this.#applied = [];
    return applied;
  }

  /** Removes the instance. May be called at any time. */
  async stop(): Promise<void> {
    const open = this.#open;
    this.#open = undefined;
    await this.#draining?.catch(() => undefined);
    for (const { pages } of open?.buffers ?? []) closeQuietly(pages);
    this.#assembler.keep([]);
    await this.#removeInstance(this.#folder);
  }

  async #bufferKib(maxRegions: number, kdamonds: number, layout: TraceLayout): Promise<number> {
    const cpus = await cpuCount(this.#sysfs);
    const most = mostRegionsTraced(cpus, layout);
    if (maxRegions > most) {
      throw new TraceUnavailableError(
        `the kernel's trace buffers of ${cpus} CPUs hold ${most} regions of a kdamond, not ${maxRegions}: set monitoring.maxRegions to ${most} or less`,
      );
    }
    return traceBufferKib(maxRegions, kdamonds, cpus, layout);
  }

  async #resize(kib: number, { page }: TraceLayout): Promise<void> {
    await this.#sysfs.write(`${this.#folder}/buffer_size_kb`, String(kib));
    this.#mostPages = Math.ceil((kib * 1024) / page.pageBytes) + 2;
  }

  async #drain(): Promise<readonly CompletedAggregation[]> {
    const open = this.#open;
    if (open === undefined) return [];
    const isCold = ({ emptyDrains }: CpuBuffer) => emptyDrains >= COLD_AFTER_DRAINS;
    let whole = await this.#readBuffers(
      open,
      open.buffers.filter((buffer) => !isCold(buffer)),
    );
    const cold = open.buffers.filter(isCold);
    // Looking at an empty buffer costs as much as reading five pages, and hosts have hundreds of them.
    if (cold.length > 0)
      whole = !this.#assembler.hasNewsOf(this.#pids) && (await this.#readBuffers(open, cold)) && whole;
    return this.#assembler.sweepEnds(whole);
  }

  /** False: there is more to read, or the trace was stopped meanwhile. */
  async #readBuffers({ layout, page, words }: OpenTrace, buffers: readonly CpuBuffer[]): Promise<boolean> {
    let readPages = 0;
    let whole = true;
    for (const buffer of buffers) {
      this.#assembler.cpuBegins(buffer.cpu);
      for (let pages = 0; ; pages += 1) {
        if (this.#open === undefined) return false;
        const bytes = this.#readPage(buffer, page);
        if (bytes === 0) {
          buffer.emptyDrains = pages === 0 ? buffer.emptyDrains + 1 : 0;
          break;
        }
        readRingPage(words, bytes, layout, this.#assembler, this.#onApplied);
        readPages += 1;
        if (pages >= this.#mostPages) {
          whole = false;
          break;
        }
        if (readPages % PAGES_AT_A_STRETCH === 0) await breathe();
      }
    }
    return whole;
  }

  #readPage({ cpu, pages }: CpuBuffer, page: Uint8Array): number {
    try {
      return pages.readNow(page);
    } catch (cause) {
      throw new TraceUnavailableError(
        `cannot read ${this.#folder}/per_cpu/cpu${cpu}/trace_pipe_raw: ${messageOf(cause)}`,
        cause,
      );
    }
  }

  readonly #onApplied = (region: AppliedRegion): void => {
    this.#applied.push(region);
    // Dropping in large steps keeps this cheap.
    if (this.#applied.length >= MAX_APPLIED * 2) this.#applied = this.#applied.slice(-MAX_APPLIED);
  };

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

async function readLayout(sysfs: SysFs, withApplied: boolean): Promise<TraceLayout> {
  const tracing = await sysfs.list(TRACING);
  if (!tracing.includes('instances')) {
    throw new TraceUnavailableError(
      `${TRACING} is not there: mount it with \`mount -t tracefs nodev ${TRACING}\` (the kernel needs CONFIG_TRACING)`,
    );
  }
  const known = await sysfs.directories(`${EVENTS}/damon`);
  if (!known.includes(AGGREGATED)) {
    throw new TraceUnavailableError(
      `the kernel has no trace event damon:${AGGREGATED}: it needs CONFIG_DAMON and tracing`,
    );
  }
  if (endianness() !== 'LE') throw new TraceUnavailableError('the trace of a big-endian machine cannot be read');
  const format = async (name: string) => parseRegionEvent(await sysfs.read(`${EVENTS}/damon/${name}/format`), name);
  try {
    return {
      page: parsePageLayout(await sysfs.read(`${EVENTS}/header_page`)),
      entries: parseEntryTypes(await sysfs.read(`${EVENTS}/header_event`)),
      aggregated: await format(AGGREGATED),
      applied: withApplied && known.includes(APPLIED) ? await format(APPLIED) : undefined,
    };
  } catch (cause) {
    if (cause instanceof TraceUnavailableError) throw cause;
    throw new TraceUnavailableError(`cannot read how the kernel traces DAMON: ${messageOf(cause)}`, cause);
  }
}

/** CPUs whose buffers take memory. */
async function cpuCount(sysfs: SysFs): Promise<number> {
  const path = '/sys/devices/system/cpu/online';
  const online = await sysfs.readIfPresent(path);
  return online === undefined ? 1 : parseList(online, path).length;
}

/** DAMON may exceed its most regions for a while; far beyond them, it is not ours. */
function mostCollected(maxRegions: number): number {
  return Math.max(10_000, maxRegions * 4);
}

function closeQuietly(pages: TracePages): void {
  try {
    pages.close();
  } catch {
    // There is nothing left to close.
  }
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
