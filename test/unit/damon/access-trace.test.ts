import { describe, expect, test } from 'vitest';
import { AccessTrace, traceBufferKib } from '../../../tiering/damon/access-trace.ts';
import type { TraceFiles, TracePipe } from '../../../tiering/damon/trace-files.ts';
import { FakeDamon } from './fake-damon.ts';

const TRACING = '/sys/kernel/tracing';

/** Tracefs of a FakeDamon; the pipe gives `chunks` and then nothing. */
class FakeTraceFiles implements TraceFiles {
  readonly chunks: string[] = [];
  readonly #damon: FakeDamon;
  closed = 0;

  constructor(damon: FakeDamon) {
    this.#damon = damon;
    this.#damon.files.set(`${TRACING}/instances/.keep`, '');
  }

  async openPipe(): Promise<TracePipe> {
    return {
      read: async () => this.chunks.shift(),
      close: async () => {
        this.closed += 1;
      },
    };
  }

  async replace(path: string, value: string): Promise<void> {
    this.#damon.files.set(path, value);
  }

  async removeDirectory(path: string): Promise<void> {
    for (const file of [...this.#damon.files.keys()]) {
      if (file.startsWith(`${path}/`)) this.#damon.files.delete(file);
    }
  }
}

function trace(appliedRegions = false) {
  const damon = new FakeDamon('7.3');
  const files = new FakeTraceFiles(damon);
  const options = { sysfs: damon, files, maxRegions: 400, kdamonds: 2, instanceName: 'tierd-1', appliedRegions };
  return { damon, files, trace: new AccessTrace(options) };
}

const AGGREGATION =
  '       kdamond.0-100     [001]     20.0: damon_aggregated: target_id=0 nr_regions=2 0-4096: 1 2\n' +
  '       kdamond.0-100     [001]     20.1: damon_aggregated: target_id=0 nr_regions=2 4096-8192: 3 4\n';

describe('the access trace', () => {
  test('traces only the kdamonds it is given, in an instance of its own', async () => {
    const all = trace();
    await all.trace.start([100, 101]);
    const folder = `${TRACING}/instances/tierd-1`;
    expect(all.damon.files.get(`${folder}/set_event_pid`)).toBe('100 101');
    expect(all.damon.files.get(`${folder}/events/damon/damon_aggregated/enable`)).toBe('1');
    expect(all.damon.files.get(`${folder}/events/damon/damos_before_apply/enable`)).toBe('0');
    expect(all.damon.files.get(`${folder}/trace_clock`)).toBe('mono');
    expect(all.damon.files.get(`${TRACING}/events/damon/damon_aggregated/enable`)).toBe('0');
  });

  test('traces nothing when there is no kdamond, as an empty list would mean everybody', async () => {
    const all = trace(true);
    await all.trace.start([100]);
    await all.trace.watch([]);
    const events = `${TRACING}/instances/tierd-1/events/damon`;
    expect(all.damon.files.get(`${events}/damon_aggregated/enable`)).toBe('0');
    expect(all.damon.files.get(`${events}/damos_before_apply/enable`)).toBe('0');
  });

  test('gives what has come, across reads that end anywhere', async () => {
    const all = trace();
    await all.trace.start([100]);
    expect(await all.trace.drain()).toEqual([]);
    all.files.chunks.push(AGGREGATION.slice(0, 50), AGGREGATION.slice(50, 120));
    expect(await all.trace.drain()).toEqual([]);
    all.files.chunks.push(AGGREGATION.slice(120));
    expect((await all.trace.drain()).map(({ pid, regions }) => [pid, regions.length])).toEqual([[100, 2]]);
  });

  test('is read by one drain at a time', async () => {
    const all = trace();
    await all.trace.start([100]);
    all.files.chunks.push(AGGREGATION);
    const [first, second] = await Promise.all([all.trace.drain(), all.trace.drain()]);
    expect(first).toHaveLength(1);
    expect(second).toBe(first);
  });

  test('removes what a killed process left, and its own instance at the end', async () => {
    const all = trace();
    await all.damon.makeDirectory(`${TRACING}/instances/tierd-77`);
    await all.damon.makeDirectory(`${TRACING}/instances/others`);
    await all.trace.start([100]);
    expect(await all.damon.directories(`${TRACING}/instances`)).toEqual(['others', 'tierd-1']);
    await all.trace.stop();
    expect(await all.damon.directories(`${TRACING}/instances`)).toEqual(['others']);
    expect(all.files.closed).toBe(1);
    expect(await all.trace.drain()).toEqual([]);
  });

  test('says how to mount tracefs when it is not there', async () => {
    const all = trace();
    all.damon.files.delete(`${TRACING}/instances/.keep`);
    await expect(all.trace.start([100])).rejects.toMatchObject({
      code: 'TIERD_TRACE_UNAVAILABLE',
      message: expect.stringContaining('mount -t tracefs nodev /sys/kernel/tracing'),
    });
  });
});

describe('the trace buffer', () => {
  test('holds a few aggregations of all kdamonds', () => {
    expect(traceBufferKib(2000, 2, 8)).toBeGreaterThanOrEqual((2000 * 2 * 4 * 64) / 1024);
  });

  test('always holds one whole aggregation, and stays bounded on machines of many CPUs', () => {
    expect(traceBufferKib(10_000, 8, 256)).toBeGreaterThanOrEqual((10_000 * 64) / 1024);
    expect(traceBufferKib(10_000, 8, 256)).toBeLessThan(1024);
  });
});
