import { GuestError } from '../errors.ts';
import type { GuestProcess } from '../guest-process.ts';

/** What every report of a workload says. */
export interface Report {
  readonly event: string;
  /** Seconds since 1970, by the guest's clock. */
  readonly time: number;
  /** Seconds since all memory was placed. */
  readonly elapsed: number;
  readonly pid: number;
}

/** A program running in a guest that reports in lines of JSON. */
export class ReportingProcess<R extends Report> {
  readonly #process: GuestProcess;
  readonly #parse: (line: string) => R | undefined;

  constructor(child: GuestProcess, parse: (line: string) => R | undefined) {
    this.#process = child;
    this.#parse = parse;
  }

  /** All reports so far. */
  get reports(): R[] {
    return this.#process.lines.map(this.#parse).filter((report) => report !== undefined);
  }

  /** The newest report. */
  get latest(): R {
    const report = this.reports.at(-1);
    if (report === undefined) throw new GuestError('WORKLOAD_FAILED', `No report yet. ${this.#process.stderr}`);
    return report;
  }

  /** Waits for a report, from the first or from `after` (elapsed seconds) on, of which `condition` is true. */
  async waitFor(condition: (report: R) => boolean, timeoutMs: number, after = Number.NEGATIVE_INFINITY): Promise<R> {
    const line = await this.#process.waitForLine((text) => {
      const report = this.#parse(text);
      return report !== undefined && report.elapsed >= after && condition(report);
    }, timeoutMs);
    const report = this.#parse(line);
    if (report === undefined) throw new GuestError('WORKLOAD_FAILED', `Not a report: ${line}`);
    return report;
  }

  /** Asks for something by a signal; gives the first report of it. */
  async ask(signal: 'USR1' | 'USR2', event: R['event'], timeoutMs = 60_000): Promise<R> {
    const { elapsed } = this.latest;
    await this.#process.signal(signal);
    return this.waitFor((report) => report.event === event, timeoutMs, elapsed);
  }

  /** Ends it; gives the last report. */
  async stop(): Promise<R> {
    // The last report, and giving back 14 GiB, take more than a few seconds.
    const exitCode = await this.#process.stop(60_000);
    if (exitCode !== 0) {
      throw new GuestError('WORKLOAD_FAILED', `The workload exited with ${exitCode}: ${this.#process.stderr}`);
    }
    return this.latest;
  }
}

/** A line as an object; undefined when it is none. */
export function parseObject(line: string): Record<string, unknown> | undefined {
  try {
    const value: unknown = JSON.parse(line);
    return isRecord(value) ? value : undefined;
  } catch {
    return undefined;
  }
}

/** Numbers by node, as the reports have them. */
export function numbersByNode(value: unknown): ReadonlyMap<number, number> {
  if (!isRecord(value)) return new Map();
  return new Map(Object.entries(value).map(([node, number]) => [Number(node), Number(number)]));
}

export function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
