import { describe, expect, test } from 'vitest';
import { parseOptions } from '../../bench/options.ts';
import { cpuTimeOf, kibOf } from '../../bench/proc-text.ts';
import { report, table } from '../../bench/report.ts';
import { tooSlow } from '../../bench/rest-latency.ts';
import type { BenchResults, GradedResult, PlacementResult, RestLatencyResult } from '../../bench/results.ts';
import { syntheticRegions } from '../../bench/trace-pages.ts';

const MIB = 2 ** 20;
const NOTHING: BenchResults = {
  conditions: [],
  placement: [],
  graded: [],
  daemonCost: [],
  nativeCost: [],
  snapshots: [],
  pageWork: [],
  engineCost: [],
  snapshotWays: [],
  restLatency: [],
  failures: [],
};

const FULL: PlacementResult = {
  kernel: '7.3',
  mode: 'numab2',
  startSeconds: 0.2,
  scenario: 'full',
  secondsTo: { 50: 7.3, 90: null, 95: null, 99: null },
  hotShareEnd: 0.822,
  coldStayedShare: 0.5,
  migratedBytes: 494 * MIB,
  leastBytes: 550 * MIB,
  oomKills: 0,
  allocationStalls: 0,
  memoryFailures: [],
  seconds: 90,
};

describe('the report', () => {
  test('columns are as wide as what is in them, numbers to the right', () => {
    const rows = [
      ['a long name', '1'],
      ['b', '12345'],
    ];
    expect(table(['name', 'ms'], rows)).toBe(
      '| name        |    ms |\n| ----------- | ----: |\n| a long name |     1 |\n| b           | 12345 |\n',
    );
  });

  test('says "never" for a share that was not reached', () => {
    const text = report({ ...NOTHING, placement: [FULL] });
    expect(text).toMatch(
      /\| full, 7\.3, numab2 +\| +0\.2 \| +7\.3 \| +never \| +never \| +0\.82 \| +494 \| +550 \| +90 \|/,
    );
  });

  test('tells the share of accesses over time, and the last one when it ended sooner', () => {
    const points = [2, 14.8, 31, 59].map((seconds, index) => ({ seconds, share: 0.4 + index / 10, fastBytes: 0 }));
    const graded: GradedResult = {
      kernel: '7.3',
      mode: 'hmsdk',
      startSeconds: 0.2,
      scenario: 'graded-full',
      points,
      startShare: 0.37,
      endShare: 0.7,
      possibleShare: 0.92,
      migratedBytes: 700 * MIB,
      leastBytes: 724 * MIB,
      accessesPerSecond: 50_000,
      memoryFailures: [],
    };
    expect(report({ ...NOTHING, graded: [graded] })).toMatch(
      /\| graded-full, 7\.3, hmsdk \| +0\.37 \| +0\.50 \| +0\.60 \| +0\.70 \| +0\.70 \| +0\.92 \| +700 \| +724 \|/,
    );
  });

  test('leaves out what was not measured, and ends with the conditions and what failed', () => {
    expect(report(NOTHING)).toBe('');
    expect(report({ ...NOTHING, conditions: ['a busy machine'], failures: ['many on 7.3: no memory'] })).toBe(
      'Conditions\n\n- a busy machine\n\nFailed\n\n- many on 7.3: no memory\n',
    );
  });

  test('shares of a core are percent', () => {
    const text = report({
      ...NOTHING,
      nativeCost: [
        {
          regions: 1000,
          aggregationIntervalMs: 500,
          seconds: 15,
          nodeVersion: 'v20.20.2',
          settledCpu: 0.0157,
          movingCpu: 0.0162,
          idleNodeCpu: 0.0005,
          manyNodesCpu: 0.04,
          traceCpu: { '2 x 4000': 0.004 },
          stepsMs: { 'tune()': 0.026 },
        },
      ],
    });
    expect(text).toMatch(/engine, 1000 regions, settled +\| +1\.57 \|/);
    expect(text).toMatch(/tune\(\) +\| 0\.026 \|/);
  });
});

describe('answers of the REST API', () => {
  const answered = (path: string, p99Ms: number): RestLatencyResult => ({
    kernel: 'simulated',
    engine: 'damos',
    path,
    requests: 200,
    medianMs: 1,
    p99Ms,
    maxMs: p99Ms,
    migratedBytes: 60 * MIB,
    seconds: 60,
  });

  test('the resource that is too slow is named, whatever all of them together are', () => {
    expect(tooSlow([answered('/v1/status', 100), answered('/metrics', 100.2), answered('all', 300)])).toEqual([
      'GET /metrics: its 99th percentile is 100.2 ms, more than 100 ms',
    ]);
    expect(tooSlow([answered('/v1/status', Number.NaN)])).toHaveLength(1);
  });

  test('are told resource by resource, and that emulated CPUs have no limit', () => {
    const text = report({ ...NOTHING, restLatency: [answered('/v1/interleave', 3.25)] });
    expect(text).toMatch(/\| \/v1\/interleave, damos, simulated +\| +200 \| +1\.0 \| +3\.3 \| +3\.3 \| +1\.0 \|/);
    expect(text).toContain('emulated');
  });
});

describe('the options', () => {
  test('all by default', () => {
    const options = parseOptions([]);
    expect(options?.kernels).toEqual(['6.12', '7.3']);
    expect([...(options?.parts ?? [])]).toEqual([
      'room',
      'full',
      'many',
      'shift',
      'graded-room',
      'graded-full',
      'graded-mixed',
      'daemon',
      'move-pages',
      'engines-room',
      'engines-full',
      'snapshot-ways',
      'rest',
      'native',
    ]);
  });

  test('lists, and what is not on them', () => {
    const options = parseOptions(['--kernel', '7.3', '--only', 'shift,room', '--json', 'x.json']);
    expect(options).toEqual({ kernels: ['7.3'], parts: new Set(['room', 'shift']), json: 'x.json' });
    expect(() => parseOptions(['--only', 'romm'])).toThrow('--only takes room, full');
    expect(() => parseOptions(['--kernel', '6.1'])).toThrow('not "6.1"');
    expect(parseOptions(['--help'])).toBeUndefined();
  });
});

describe('texts of the kernel', () => {
  test('CPU time behind a name with spaces and parentheses', () => {
    const stat = '366 (a) b (c) S 2 0 0 0 -1 2129984 0 0 0 0 250 50 0 0 20 0 1 0 2048 0 0';
    expect(cpuTimeOf(stat)).toEqual({ user: 2.5, system: 0.5 });
  });

  test('memory by key', () => {
    const text = 'VmHWM:\t   70000 kB\nVmRSS:\t   61440 kB\nPrivate_Clean:        1024 kB\n';
    expect(kibOf(text, 'VmRSS')).toBe(61440);
    expect(kibOf(text, 'Private_Clean')).toBe(1024);
    expect(kibOf(text, 'Private')).toBeNaN();
  });

  test('made-up regions, of which a share is hot', () => {
    const regions = syntheticRegions({ start: 0x100000, end: 0x40000000 }, 500, 0.2, 10);
    expect(regions.filter(({ nrAccesses }) => nrAccesses === 10)).toHaveLength(100);
    expect(regions.at(-1)?.end).toBe(0x40000000);
  });
});
