import { readdir } from 'node:fs/promises';
import { Counter, Gauge, Histogram, Registry } from 'prom-client';
import type { MetricsInput, ProcessFigures, Sample } from './definitions.ts';
import { METRICS, REQUEST_DURATION } from './definitions.ts';

/** Answers come from memory in a few ms; a change waits for the kernel. */
const DURATION_BUCKETS_SECONDS = [0.001, 0.005, 0.02, 0.1, 0.5, 2, 10];

/** Metrics in Prometheus' text format, and the durations of requests that only the server knows. */
export class Exposition {
  readonly #registry = new Registry();
  readonly #sets: readonly ((input: MetricsInput) => void)[];
  readonly #durations: Histogram<'method' | 'route' | 'status'>;

  constructor() {
    const registers = [this.#registry];
    this.#sets = METRICS.map(({ name, help, type, labelNames, samples }) => {
      const options = { name, help, labelNames, registers };
      const metric = type === 'gauge' ? new Gauge(options) : new Counter(options);
      // Samples come anew each time: what is gone, a node or a scheme, must not stay.
      return (input) => {
        metric.reset();
        for (const { labels = {}, value } of samples(input).filter(hasValue)) metric.inc(labels, value);
      };
    });
    this.#durations = new Histogram({
      ...REQUEST_DURATION,
      buckets: DURATION_BUCKETS_SECONDS,
      registers,
    });
  }

  get contentType(): string {
    return this.#registry.contentType;
  }

  /** A request was answered; `route` as it is declared, so that paths with ids do not multiply. */
  answered(method: string, route: string, status: number, durationMs: number): void {
    this.#durations.observe({ method, route, status: String(status) }, durationMs / 1000);
  }

  text(input: MetricsInput): Promise<string> {
    for (const set of this.#sets) set(input);
    return this.#registry.metrics();
  }
}

/** What this process uses. */
export async function processFigures(): Promise<ProcessFigures> {
  const { user, system } = process.cpuUsage();
  return {
    residentBytes: process.memoryUsage.rss(),
    cpuSeconds: (user + system) / 1e6,
    openFds: (await readdir('/proc/self/fd')).length,
    startTimeSeconds: Math.round(Date.now() / 1000 - process.uptime()),
  };
}

function hasValue({ value }: Sample): boolean {
  return Number.isFinite(value);
}
