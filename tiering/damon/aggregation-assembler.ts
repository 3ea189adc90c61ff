import type { Region } from '../snapshot.ts';
import { RegionColumns } from './region-columns.ts';
import type { RegionSink } from './ring-page.ts';

/** All regions of one kdamond as one aggregation left them (trace event damon:damon_aggregated). */
export interface CompletedAggregation {
  /** Pid of the kdamond. */
  readonly pid: number;
  /** Trace clock (CLOCK_MONOTONIC) of the first region, in milliseconds. */
  readonly tracedAtMs: number;
  /** The same of the whole aggregation before it, when there was one. */
  readonly previousAtMs: number | undefined;
  /** By ascending address. */
  readonly regions: readonly Region[];
}

interface Kdamond {
  readonly pid: number;
  /** What the CPU that is being read has of an aggregation that is not whole yet. */
  run: RegionColumns;
  /** The newest whole aggregation. */
  newest: RegionColumns;
  newestNs: number;
  /** As of the last sweep: all that is older has been read. */
  settledNs: number;
  previousNs: number;
  hasNews: boolean;
  /** Parts: of aggregations that are written on several CPUs, or that have a hole. */
  parts: RegionColumns;
  spareParts: RegionColumns;
}

/** Kdamonds whose regions may interleave; more are not ours. */
const MAX_KDAMONDS = 256;
/**
 * A kdamond writes an aggregation in one go. Regions that lie further apart than this may be of two aggregations, between which others were written
 * elsewhere, or lost; they are put together by time only once all CPUs have been read.
 */
const LONGEST_STEP_NS = 4_000_000;
const NEVER = Number.NEGATIVE_INFINITY;

/**
 * Puts regions together to aggregations. They come CPU by CPU: of each in order of time, but a kdamond may move to another CPU in the middle of an
 * aggregation, and what it wrote first may be read last. An aggregation on one CPU, which nearly all are, is taken as it comes; parts of others wait, are
 * ordered by time when all CPUs have been read, and are dropped when they are not whole a sweep after something newer of the same kdamond was read: what
 * belonged to them would have been read by then. Only the newest aggregation of each kdamond becomes objects.
 */
export class AggregationAssembler implements RegionSink {
  /** Aggregations of more regions are not collected. */
  maxRegions: number;
  readonly #kdamonds = new Map<number, Kdamond>();
  #last: Kdamond | undefined;
  /** When the newest region was written, by the CPU that wrote it. */
  readonly #newestNs = new Map<number, number>();
  #cpu = -1;
  #cpuNs = NEVER;
  #sweep = 0;
  #lostEvents = 0;
  #dropped = 0;
  /** In which events were lost, on whichever CPU: of the sweep before and of this one. */
  #gapFromNs = Number.POSITIVE_INFINITY;
  #gapUntilNs = NEVER;
  #gapSweep = 0;

  constructor(maxRegions: number) {
    this.maxRegions = maxRegions;
  }

  /** Events that the kernel's buffer had no room for. */
  get lostEvents(): number {
    return this.#lostEvents;
  }

  /** Aggregations that were begun but never became whole. */
  get droppedAggregations(): number {
    return this.#dropped;
  }

  /** One region of an aggregation, from the CPU that is being read. */
  region(
    timeNs: number,
    pid: number,
    nrRegions: number,
    start: number,
    end: number,
    nrAccesses: number,
    age: number,
  ): void {
    if (!(nrRegions > 0) || nrRegions > this.maxRegions) return;
    const kdamond = this.#last?.pid === pid ? this.#last : this.#kdamond(pid);
    if (kdamond === undefined) return;
    this.#last = kdamond;
    this.#cpuNs = timeNs;
    if (kdamond.run.count > 0 && !follows(kdamond.run, timeNs, nrRegions, start)) this.#setAside(kdamond);
    const { run } = kdamond;
    run.push(timeNs, nrRegions, start, end, nrAccesses, age, this.#sweep);
    if (run.count < nrRegions) return;
    if (isNews(kdamond, run.timeNs[0] ?? 0)) {
      kdamond.run = kdamond.newest;
      kdamond.newest = run;
    }
    kdamond.run.clear();
  }

  /** At least so many events were lost on the CPU that is being read, between what was read of it and this time. */
  lost(events: number, untilNs: number): void {
    this.#lostEvents += events;
    this.#gapFromNs = Math.min(this.#gapFromNs, this.#cpuNs);
    this.#gapUntilNs = Math.max(this.#gapUntilNs, untilNs);
    this.#gapSweep = this.#sweep;
    this.#runsEnd();
  }

  /** What is read from now on is from this CPU. */
  cpuBegins(cpu: number): void {
    this.#runsEnd();
    if (this.#cpuNs !== NEVER) this.#newestNs.set(this.#cpu, this.#cpuNs);
    this.#cpu = cpu;
    this.#cpuNs = this.#newestNs.get(cpu) ?? NEVER;
  }

  /** Whether there is a new aggregation of each of these. */
  hasNewsOf(pids: Iterable<number>): boolean {
    for (const pid of pids) if (this.#kdamonds.get(pid)?.hasNews !== true) return false;
    return true;
  }

  /** Ends a sweep over the CPUs, `whole` when every buffer was read to its end. Gives the newest aggregation of each kdamond that has a new one. */
  sweepEnds(whole: boolean): readonly CompletedAggregation[] {
    this.#runsEnd();
    const completed: CompletedAggregation[] = [];
    for (const kdamond of this.#kdamonds.values()) {
      if (kdamond.parts.count > 0) this.#joinParts(kdamond, whole);
      if (whole) kdamond.settledNs = kdamond.newestNs;
      if (!kdamond.hasNews) continue;
      kdamond.hasNews = false;
      completed.push({
        pid: kdamond.pid,
        tracedAtMs: kdamond.newestNs / 1e6,
        previousAtMs: kdamond.previousNs === NEVER ? undefined : kdamond.previousNs / 1e6,
        regions: kdamond.newest.regions(),
      });
    }
    if (whole) {
      if (this.#gapSweep < this.#sweep) {
        this.#gapFromNs = Number.POSITIVE_INFINITY;
        this.#gapUntilNs = NEVER;
      }
      this.#sweep += 1;
    }
    return completed.sort((a, b) => a.tracedAtMs - b.tracedAtMs);
  }

  /** Forgets all kdamonds but these. */
  keep(pids: readonly number[]): void {
    this.#last = undefined;
    for (const pid of [...this.#kdamonds.keys()]) if (!pids.includes(pid)) this.#kdamonds.delete(pid);
  }

  #kdamond(pid: number): Kdamond | undefined {
    const known = this.#kdamonds.get(pid);
    if (known !== undefined || this.#kdamonds.size >= MAX_KDAMONDS) return known;
    const kdamond = {
      pid,
      run: new RegionColumns(),
      newest: new RegionColumns(),
      newestNs: NEVER,
      settledNs: NEVER,
      previousNs: NEVER,
      hasNews: false,
      parts: new RegionColumns(),
      spareParts: new RegionColumns(),
    };
    this.#kdamonds.set(pid, kdamond);
    return kdamond;
  }

  #runsEnd(): void {
    for (const kdamond of this.#kdamonds.values()) if (kdamond.run.count > 0) this.#setAside(kdamond);
  }

  #setAside({ run, parts }: Kdamond): void {
    // Parts of so many aggregations never become whole.
    if (parts.count + run.count > 4 * this.maxRegions) {
      parts.clear();
      this.#dropped += 1;
    }
    for (let at = 0; at < run.count; at += 1) parts.take(run, at);
    run.clear();
  }

  /** Takes whole aggregations out of a kdamond's parts, in order of time, and drops those that will never be whole. */
  #joinParts(kdamond: Kdamond, whole: boolean): void {
    const { parts } = kdamond;
    const rest = kdamond.spareParts;
    rest.clear();
    const order = Array.from({ length: parts.count }, (_, index) => index);
    order.sort((a, b) => (parts.timeNs[a] ?? 0) - (parts.timeNs[b] ?? 0));
    const lastSettled = order.findLast((at) => (parts.sweep[at] ?? 0) < this.#sweep);
    // All that was written until then has been read.
    const settledNs = whole
      ? Math.max(kdamond.settledNs, lastSettled === undefined ? NEVER : (parts.timeNs[lastSettled] ?? 0))
      : NEVER;
    for (let first = 0; first < order.length; ) {
      let next = first + 1;
      const nrRegions = parts.nrRegions[order[first] ?? 0] ?? 0;
      while (next < order.length && next - first < nrRegions) {
        if (!this.#joins(parts, order[next - 1] ?? 0, order[next] ?? 0, settledNs)) break;
        next += 1;
      }
      const group = order.slice(first, next);
      first = next;
      if (group.length === nrRegions) {
        const [begin = 0] = group;
        if (!isNews(kdamond, parts.timeNs[begin] ?? 0)) continue;
        kdamond.newest.clear();
        for (const at of group) kdamond.newest.take(parts, at);
      } else if ((parts.timeNs[group.at(-1) ?? 0] ?? 0) < settledNs) {
        this.#dropped += 1;
      } else {
        for (const at of group) rest.take(parts, at);
      }
    }
    kdamond.parts = rest;
    kdamond.spareParts = parts;
  }

  /** Whether a region goes on where another ended, with nothing of the kdamond in between that was lost or is yet to be read. */
  #joins(parts: RegionColumns, before: number, after: number, settledNs: number): boolean {
    const fromNs = parts.timeNs[before] ?? 0;
    const untilNs = parts.timeNs[after] ?? 0;
    return (
      parts.nrRegions[before] === parts.nrRegions[after] &&
      (parts.start[after] ?? 0) >= (parts.end[before] ?? 0) &&
      (untilNs - fromNs < LONGEST_STEP_NS ||
        (untilNs <= settledNs && (untilNs <= this.#gapFromNs || fromNs >= this.#gapUntilNs)))
    );
  }
}

/** Whether a region belongs to the aggregation that a CPU has begun: they ascend, so one that starts lower begins the next. */
function follows(run: RegionColumns, timeNs: number, nrRegions: number, start: number): boolean {
  const last = run.count - 1;
  return (
    run.nrRegions[last] === nrRegions &&
    start >= (run.end[last] ?? 0) &&
    timeNs - (run.timeNs[last] ?? 0) < LONGEST_STEP_NS
  );
}

/** Notes a whole aggregation of this time; false: a newer one is known. */
function isNews(kdamond: Kdamond, timeNs: number): boolean {
  if (timeNs <= kdamond.newestNs) {
    kdamond.previousNs = Math.max(kdamond.previousNs, timeNs < kdamond.newestNs ? timeNs : NEVER);
    return false;
  }
  kdamond.previousNs = kdamond.newestNs;
  kdamond.newestNs = timeNs;
  kdamond.hasNews = true;
  return true;
}
