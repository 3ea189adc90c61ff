import { describe, expect, test } from 'vitest';
import { AccessTrace, tracedRegionsLimit } from '../../../tiering/damon/access-trace.ts';
import type { TraceFiles, TracePages } from '../../../tiering/damon/trace-files.ts';
import { aggregationPages, RingPageWriter, recordedLayout } from '../../bench/trace-pages.ts';
import { FakeDamon } from './fake-damon.ts';

const TRACING = '/sys/kernel/tracing';
const LAYOUT = recordedLayout('7.3');

/** Tracefs of a FakeDamon; each CPU's buffer gives its pages and then nothing. */
class FakeTraceFiles implements TraceFiles {
  pages: Uint8Array[][] = [[], []];
  readonly reads: number[] = [];
  readonly #damon: FakeDamon;
  closed = 0;
  failure: Error | undefined;

  constructor(damon: FakeDamon) {
    this.#damon = damon;
    this.#damon.files.set(`${TRACING}/instances/.keep`, '');
  }

  openPages(path: string): TracePages {
    const cpu = Number(/cpu(\d+)\/trace_pipe_raw$/.exec(path)?.[1]);
    return {
      readNow: (into) => {
        this.reads.push(cpu);
        if (this.failure !== undefined) throw this.failure;
        const page = this.pages[cpu]?.shift();
        if (page === undefined) return 0;
        into.set(page);
        return page.length;
      },
      close: () => {
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

function trace(appliedRegions = false, maxRegions = 400) {
  const damon = new FakeDamon('7.3');
  const files = new FakeTraceFiles(damon);
  const options = { sysfs: damon, files, maxRegions, kdamonds: 2, instanceName: 'tierd-1', appliedRegions };
  return { damon, files, trace: new AccessTrace(options) };
}

const REGIONS = [
  { start: 0, end: 4096, nrAccesses: 1, age: 2 },
  { start: 4096, end: 8192, nrAccesses: 3, age: 4 },
];
const AGGREGATION = aggregationPages(LAYOUT, 100, 20e9, REGIONS);

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

  test('gives what has come on any CPU', async () => {
    const all = trace();
    await all.trace.start([100]);
    expect(await all.trace.drain()).toEqual([]);
    const writers = [new RingPageWriter(LAYOUT), new RingPageWriter(LAYOUT)];
    for (const [index, region] of REGIONS.entries()) writers[1 - index]?.region(20e9 + index, 100, 2, region);
    all.files.pages = writers.map((writer) => [...writer.take()]);
    expect(await all.trace.drain()).toEqual([
      { pid: 100, tracedAtMs: 20_000, previousAtMs: undefined, regions: REGIONS },
    ]);
  });

  test('looks at CPUs that have been silent only when something is missing', async () => {
    const all = trace();
    await all.trace.start([100, 101]);
    let timeNs = 20e9;
    const drain = async (pids: readonly number[], cpu: number) => {
      timeNs += 5e8;
      for (const pid of pids) all.files.pages[cpu]?.push(...aggregationPages(LAYOUT, pid, timeNs, REGIONS));
      all.files.reads.length = 0;
      return (await all.trace.drain()).length;
    };
    for (let turn = 0; turn < 10; turn += 1) expect(await drain([100, 101], 0)).toBe(2);
    expect(await drain([100, 101], 0)).toBe(2);
    expect(all.files.reads).not.toContain(1);
    expect(await drain([100], 0)).toBe(1);
    expect(all.files.reads).toContain(1);
    expect(await drain([100, 101], 1)).toBe(2);
    expect(all.trace.droppedAggregations).toBe(0);
  });

  test('gives regions that schemes act on', async () => {
    const all = trace(true);
    await all.trace.start([100]);
    const [region = { start: 0, end: 1, nrAccesses: 0, age: 0 }] = REGIONS;
    all.files.pages[0] = [...new RingPageWriter(LAYOUT).applied(20e9, 100, 2, region).take()];
    await all.trace.drain();
    expect(all.trace.takeApplied()).toEqual([{ pid: 100, schemeIndex: 2, tracedAtMs: 20_000, ...region }]);
    expect(all.trace.takeApplied()).toEqual([]);
  });

  test('counts what the kernel had no room for', async () => {
    const all = trace();
    await all.trace.start([100]);
    const writer = new RingPageWriter(LAYOUT).lost(123);
    for (const region of REGIONS) writer.region(20e9, 100, 2, region);
    all.files.pages[0] = [...writer.take()];
    expect(await all.trace.drain()).toHaveLength(1);
    expect(all.trace.lostEvents).toBe(123);
  });

  test('lets others run while it reads very much', async () => {
    const all = trace(false, 20_000);
    await all.trace.start([100]);
    const many = Array.from({ length: 80_000 }, (_, at) => ({
      start: at * 4096,
      end: (at + 1) * 4096,
      nrAccesses: 0,
      age: 0,
    }));
    all.files.pages[0] = [...aggregationPages(LAYOUT, 100, 20e9, many)];
    let others = 0;
    const other = setInterval(() => {
      others += 1;
    }, 0);
    const found = await all.trace.drain();
    clearInterval(other);
    expect(found[0]?.regions).toHaveLength(80_000);
    expect(others).toBeGreaterThan(0);
  });

  test('names the file that cannot be read', async () => {
    const all = trace();
    await all.trace.start([100]);
    all.files.failure = new Error('EIO: i/o error, read');
    await expect(all.trace.drain()).rejects.toMatchObject({
      code: 'TIERD_TRACE_UNAVAILABLE',
      message: expect.stringContaining('per_cpu/cpu0/trace_pipe_raw: EIO'),
    });
    all.files.failure = undefined;
    all.files.pages[0] = [...AGGREGATION];
    expect(await all.trace.drain()).toHaveLength(1);
  });

  test('refuses more regions than its buffers may hold, saying how many they are', async () => {
    const all = trace(false, 3000);
    all.damon.files.set('/sys/devices/system/cpu/online', '0-511');
    const most = await tracedRegionsLimit(all.damon);
    await expect(all.trace.start([100])).rejects.toMatchObject({
      code: 'TIERD_TRACE_UNAVAILABLE',
      message: expect.stringContaining(`512 CPUs hold ${most} regions of a kdamond, not 3000`),
    });
    expect(await all.damon.directories(`${TRACING}/instances`)).toEqual([]);
  });

  test('is read by one drain at a time', async () => {
    const all = trace();
    await all.trace.start([100]);
    all.files.pages[0] = [...AGGREGATION];
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
    expect(all.files.closed).toBe(2);
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
