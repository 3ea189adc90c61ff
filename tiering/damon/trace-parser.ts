import type { Region } from '../snapshot.ts';

/** All regions of one kdamond as one aggregation left them (trace event damon:damon_aggregated). */
export interface CompletedAggregation {
  /** Pid of the kdamond. */
  readonly pid: number;
  /** Trace clock (monotonic since boot) of the first line, in seconds. */
  readonly traceTimestamp: number;
  /** By ascending address. */
  readonly regions: readonly Region[];
}

/** A region that a scheme is about to act on (trace event damon:damos_before_apply), as it was before. */
export interface AppliedRegion extends Region {
  readonly pid: number;
  readonly schemeIndex: number;
  /** Trace clock (monotonic since boot), in seconds. */
  readonly traceTimestamp: number;
}

interface Burst {
  readonly nrRegions: number;
  readonly traceTimestamp: number;
  readonly regions: Region[];
}

export interface TraceParserOptions {
  /** Aggregations of more regions are not collected. */
  readonly maxRegions?: number;
  /** Applied regions kept until they are taken; the oldest go first. */
  readonly maxApplied?: number;
}

const DEFAULT_MAX_REGIONS = 200_000;
const DEFAULT_MAX_APPLIED = 50_000;
/** Kdamonds whose lines may interleave; more are not ours. */
const MAX_BURSTS = 256;
const MAX_LINE = 4096;

const NEWLINE = 10;
const SPACE = 32;
const DASH = 45;
const ZERO = 48;
const NINE = 57;

/**
 * Puts the text of a trace pipe together to aggregations. Lines look like (Linux 6.12 and 7.3, irq-info off)
 *
 *     kdamond.0-366     [001]     20.481186: damon_aggregated: target_id=0 nr_regions=21 16777216-37748736: 0 12
 *
 * and come in bursts of `nr_regions` lines. Text may end anywhere in a line. A burst that is not whole (events were lost,
 * tracing began in the middle) is dropped. Nothing here is asynchronous: a chunk of 64 KiB takes well under a millisecond.
 */
export class TraceParser {
  readonly #maxRegions: number;
  readonly #maxApplied: number;
  readonly #bursts = new Map<number, Burst>();
  #carry = '';
  #applied: AppliedRegion[] = [];
  #lostEvents = 0;
  #dropped = 0;
  /** Where the number scanner stands. */
  #at = 0;

  constructor(options: TraceParserOptions = {}) {
    this.#maxRegions = options.maxRegions ?? DEFAULT_MAX_REGIONS;
    this.#maxApplied = options.maxApplied ?? DEFAULT_MAX_APPLIED;
  }

  /** Events that the kernel's buffer had no room for. */
  get lostEvents(): number {
    return this.#lostEvents;
  }

  /** Aggregations that were begun but never became whole. */
  get droppedAggregations(): number {
    return this.#dropped;
  }

  /** Takes the next piece of text; returns the aggregations that it completed. */
  push(chunk: string): readonly CompletedAggregation[] {
    const completed: CompletedAggregation[] = [];
    const text = this.#carry === '' ? chunk : this.#carry + chunk;
    let start = 0;
    for (;;) {
      const end = text.indexOf('\n', start);
      if (end < 0) break;
      const aggregation = this.#line(text, start, end);
      if (aggregation !== undefined) completed.push(aggregation);
      start = end + 1;
    }
    const rest = text.length - start;
    this.#carry = rest > 0 && rest <= MAX_LINE ? text.slice(start) : '';
    return completed;
  }

  /** Regions acted on since the last call, oldest first. */
  takeApplied(): readonly AppliedRegion[] {
    const applied = this.#applied;
    this.#applied = [];
    return applied;
  }

  /** Forgets what is half collected. */
  reset(): void {
    this.#bursts.clear();
    this.#carry = '';
  }

  #line(text: string, start: number, end: number): CompletedAggregation | undefined {
    const bracket = text.indexOf(' [', start);
    if (bracket < 0 || bracket >= end) return undefined;
    if (text.startsWith('CPU:', start)) {
      this.#lost(text, bracket, end);
      return undefined;
    }
    const event = text.indexOf(': damo', bracket);
    if (event < 0 || event >= end) return undefined;
    if (text.startsWith('n_aggregated: ', event + 6)) return this.#region(text, bracket, event, end);
    if (text.startsWith('s_before_apply: ', event + 6)) this.#apply(text, bracket, event, end);
    return undefined;
  }

  /** `CPU:1 [LOST 123 EVENTS]`: any burst may have a hole now. */
  #lost(text: string, bracket: number, end: number): void {
    this.#at = bracket;
    const events = this.#number(text, end);
    this.#lostEvents += Number.isNaN(events) ? 0 : events;
    this.#dropped += this.#bursts.size;
    this.#bursts.clear();
  }

  #region(text: string, bracket: number, event: number, end: number): CompletedAggregation | undefined {
    this.#at = event;
    const target = this.#number(text, end);
    const nrRegions = this.#number(text, end);
    const region = this.#accessed(text, end);
    const pid = pidBefore(text, bracket);
    // A physical context has one target; what has more is not ours.
    if (region === undefined || target !== 0 || pid < 0 || !(nrRegions > 0) || nrRegions > this.#maxRegions) {
      return undefined;
    }
    const burst = this.#burst(pid, nrRegions, region, text, event);
    if (burst === undefined) return undefined;
    burst.regions.push(region);
    if (burst.regions.length < nrRegions) return undefined;
    this.#bursts.delete(pid);
    return { pid, traceTimestamp: burst.traceTimestamp, regions: burst.regions };
  }

  /** The burst that a line belongs to: regions of one ascend, so one that starts lower begins the next. */
  #burst(pid: number, nrRegions: number, region: Region, text: string, event: number): Burst | undefined {
    const open = this.#bursts.get(pid);
    if (open !== undefined) {
      const last = open.regions.at(-1);
      if (open.nrRegions === nrRegions && (last === undefined || region.start >= last.end)) return open;
      this.#dropped += 1;
    } else if (this.#bursts.size >= MAX_BURSTS) {
      return undefined;
    }
    const burst = { nrRegions, traceTimestamp: timestampBefore(text, event), regions: [] };
    this.#bursts.set(pid, burst);
    return burst;
  }

  #apply(text: string, bracket: number, event: number, end: number): void {
    this.#at = event;
    this.#number(text, end);
    const schemeIndex = this.#number(text, end);
    this.#number(text, end);
    this.#number(text, end);
    const region = this.#accessed(text, end);
    const pid = pidBefore(text, bracket);
    if (region === undefined || pid < 0) return;
    this.#applied.push({ pid, schemeIndex, traceTimestamp: timestampBefore(text, event), ...region });
    // Dropping in large steps keeps this cheap.
    if (this.#applied.length >= this.#maxApplied * 2) this.#applied = this.#applied.slice(-this.#maxApplied);
  }

  /** `START-END: nr_accesses age` at the scanner. */
  #accessed(text: string, end: number): Region | undefined {
    const start = this.#number(text, end);
    const stop = this.#number(text, end);
    const nrAccesses = this.#number(text, end);
    const age = this.#number(text, end);
    return Number.isNaN(age) ? undefined : { start, end: stop, nrAccesses, age };
  }

  /** The next decimal number before `end`; NaN when there is none. Physical addresses are exact in a double. */
  #number(text: string, end: number): number {
    let at = this.#at;
    let code = text.charCodeAt(at);
    while (at < end && (code < ZERO || code > NINE)) code = text.charCodeAt(++at);
    if (at >= end) {
      this.#at = end;
      return Number.NaN;
    }
    let value = 0;
    while (at < end && code >= ZERO && code <= NINE) {
      value = value * 10 + (code - ZERO);
      code = text.charCodeAt(++at);
    }
    this.#at = at;
    return value;
  }
}

/** `COMM-PID   [CPU]`: the number before the bracket. The name may hold spaces and dashes. */
function pidBefore(text: string, bracket: number): number {
  let at = bracket;
  while (at > 0 && text.charCodeAt(at) === SPACE) at -= 1;
  let pid = 0;
  let unit = 1;
  for (; at >= 0; at -= 1) {
    const code = text.charCodeAt(at);
    if (code < ZERO || code > NINE) break;
    pid += (code - ZERO) * unit;
    unit *= 10;
  }
  return unit > 1 && text.charCodeAt(at) === DASH ? pid : -1;
}

/** `  20.481186: damon_...`: the word before the event's colon. */
function timestampBefore(text: string, event: number): number {
  let at = event;
  while (at > 0 && text.charCodeAt(at - 1) !== SPACE && text.charCodeAt(at - 1) !== NEWLINE) at -= 1;
  return Number(text.slice(at, event));
}
