import { readFileSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import { TraceParser } from '../../../tiering/damon/trace-parser.ts';

/** Recorded in guests, irq-info off: Debian 6.12.107 and 7.3.4, one kdamond over [16 MiB, 1 GiB). */
function recorded(kernel: '6.12' | '7.3'): string {
  return readFileSync(new URL(`./trace-${kernel}.txt`, import.meta.url), 'latin1');
}

function line(pid: number, timestamp: string, nr: number, start: number, end: number, accesses = 0, age = 0): string {
  return `       kdamond.0-${pid}     [001]     ${timestamp}: damon_aggregated: target_id=0 nr_regions=${nr} ${start}-${end}: ${accesses} ${age}\n`;
}

describe.each(['6.12', '7.3'] as const)('a trace recorded on Linux %s', (kernel) => {
  test('gives aggregations that cover the monitored range', () => {
    const aggregations = new TraceParser().push(recorded(kernel));
    expect(aggregations.length).toBeGreaterThan(5);
    for (const { regions } of aggregations) {
      expect(regions[0]?.start).toBe(16777216);
      expect(regions.at(-1)?.end).toBe(1073741824);
      for (const [position, region] of regions.entries()) {
        expect(region.start).toBe(position === 0 ? 16777216 : regions[position - 1]?.end);
      }
    }
  });

  test('gives the same wherever reads happen to end', () => {
    const text = recorded(kernel);
    const whole = new TraceParser().push(text);
    for (const size of [1, 7, 100, 4095]) {
      const parser = new TraceParser();
      const pieces = [];
      for (let at = 0; at < text.length; at += size) pieces.push(...parser.push(text.slice(at, at + size)));
      expect(pieces).toEqual(whole);
    }
  });
});

describe('the trace parser', () => {
  test('reads pid, time and all figures of a region', () => {
    expect(new TraceParser().push(line(366, '20.481186', 1, 4294967296, 4312345678, 3, 12))).toEqual([
      {
        pid: 366,
        traceTimestamp: 20.481186,
        regions: [{ start: 4294967296, end: 4312345678, nrAccesses: 3, age: 12 }],
      },
    ]);
  });

  test('keeps two kdamonds apart whose lines interleave', () => {
    const text =
      line(1, '1.0', 2, 0, 10) + line(2, '1.1', 2, 100, 110) + line(1, '1.2', 2, 10, 20) + line(2, '1.3', 2, 110, 120);
    const aggregations = new TraceParser().push(text);
    expect(aggregations.map(({ pid, regions }) => [pid, regions.map(({ start }) => start)])).toEqual([
      [1, [0, 10]],
      [2, [100, 110]],
    ]);
  });

  test('understands lines with irq-info and names with spaces and dashes', () => {
    const text =
      ' my -thing-77-123     [001] .....    12.345678: damon_aggregated: target_id=0 nr_regions=1 0-4096: 0 12\n';
    expect(new TraceParser().push(text).map(({ pid, traceTimestamp }) => [pid, traceTimestamp])).toEqual([
      [123, 12.345678],
    ]);
  });

  test('drops an aggregation with a hole and goes on with the next whole one', () => {
    const parser = new TraceParser();
    const text =
      line(1, '1.0', 3, 0, 10) +
      'CPU:1 [LOST 123 EVENTS]\n' +
      line(1, '1.1', 3, 20, 30) +
      line(1, '2.0', 3, 0, 10) +
      line(1, '2.1', 3, 10, 20) +
      line(1, '2.2', 3, 20, 30);
    expect(parser.push(text).map(({ traceTimestamp }) => traceTimestamp)).toEqual([2.0]);
    expect(parser.lostEvents).toBe(123);
    expect(parser.droppedAggregations).toBe(2);
  });

  test('drops what began before it listened', () => {
    const text = line(1, '1.1', 2, 10, 20) + line(1, '2.0', 2, 0, 10) + line(1, '2.1', 2, 10, 20);
    expect(new TraceParser().push(text).map(({ traceTimestamp }) => traceTimestamp)).toEqual([2.0]);
  });

  test('skips lines that are none of its own', () => {
    const text =
      '# tracer: nop\n\n  kdamond.0-1 [000] 1.0: damos_esz: ctx_idx=0 scheme_idx=0 esz=1\n' +
      '  kdamond.0-1 [000] 1.0: damon_region_aggregated: target_id=0 nr_regions=1 0-4096: 0 1 probe_hits=00\n' +
      'garbage [\n damon_aggregated\n';
    expect(new TraceParser().push(text)).toEqual([]);
  });

  test('collects regions that schemes act on until they are taken', () => {
    const parser = new TraceParser();
    const text =
      '       kdamond.0-366     [000]     88.132625: damos_before_apply: ctx_idx=0 scheme_idx=2 target_idx=0 nr_regions=21 69079040-121081856: 1 46\n';
    parser.push(text);
    expect(parser.takeApplied()).toEqual([
      { pid: 366, schemeIndex: 2, traceTimestamp: 88.132625, start: 69079040, end: 121081856, nrAccesses: 1, age: 46 },
    ]);
    expect(parser.takeApplied()).toEqual([]);
  });

  test('keeps its memory bounded', () => {
    const parser = new TraceParser({ maxRegions: 4, maxApplied: 10 });
    expect(parser.push(line(1, '1.0', 5, 0, 10))).toEqual([]);
    const applied =
      ' k-1 [000] 1.0: damos_before_apply: ctx_idx=0 scheme_idx=0 target_idx=0 nr_regions=1 0-4096: 0 1\n';
    parser.push(applied.repeat(1000));
    expect(parser.takeApplied().length).toBeLessThan(20);
    parser.push('x'.repeat(1_000_000));
    expect(parser.push(`\n${line(1, '1.0', 1, 0, 10)}`)).toHaveLength(1);
  });

  test('does not hold the event loop: 20,000 lines in 64 KiB chunks', () => {
    let text = '';
    for (let region = 0; region < 20_000; region += 1) {
      text += line(366, '20.481186', 20_000, region * 4096, (region + 1) * 4096, 0, 12);
    }
    const parser = new TraceParser();
    parser.push(text);
    const startMs = performance.now();
    let longestMs = 0;
    let found = 0;
    for (let at = 0; at < text.length; at += 65_536) {
      const chunk = text.slice(at, at + 65_536);
      const beganMs = performance.now();
      found += parser.push(chunk).length;
      longestMs = Math.max(longestMs, performance.now() - beganMs);
    }
    expect(found).toBe(1);
    // 5 ms here; the bounds leave room for busy machines.
    expect(performance.now() - startMs).toBeLessThan(250);
    expect(longestMs).toBeLessThan(100);
  });
});
