import { describe, expect, test } from 'vitest';
import type { EngineRun } from '../../bench/engine-cost.ts';
import { engineCost } from '../../bench/engine-cost.ts';
import { heldLoop, pageWorkResult, roundsOf } from '../../bench/page-work.ts';
import { report } from '../../bench/report.ts';
import { distribution } from '../../bench/rest-latency.ts';
import type { BenchResults } from '../../bench/results.ts';
import type { SnapshotWindow } from '../../bench/snapshot-ways.ts';
import { snapshotWay, windowsOf } from '../../bench/snapshot-ways.ts';

const GIB = 2 ** 30;
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

describe('the same work by tierd and by C', () => {
  const timed = [0.2, 0.9, 0.3].map((seconds) => ({ seconds, cpuSeconds: seconds / 2, pages: 1 }));
  const watched = timed.map((round) => ({ ...round, seconds: 2 * round.seconds, loopDelayMs: 10 * round.seconds }));
  const tierd = [...timed, ...watched];
  const peer = [0.1, 0.2, 0.15].map((seconds) => ({ seconds, cpuSeconds: seconds, pages: 1 }));
  const work = { work: 'scan', layout: 'in-order', bytesPerRound: GIB } as const;

  test('medians of both, without the rounds in which the event loop was looked at, and what share of the speed of C that is', () => {
    const result = pageWorkResult('guest 7.3', work, tierd, peer);
    expect(result).toMatchObject({ tierdSeconds: 0.3, peerSeconds: 0.15, tierdCpuSeconds: 0.15, peerCpuSeconds: 0.15 });
    expect(report({ ...NOTHING, pageWork: [result] })).toMatch(
      /\| scan 1024 MiB, in-order, guest 7\.3 \| +300\.0 \| +150\.0 \| +0\.50 \| +150\.0 \| +150\.0 \| +3\.0 \|/,
    );
  });

  test('an event loop that was held for more than 20 ms is a failure', () => {
    const result = pageWorkResult('this machine', work, tierd, peer);
    expect(heldLoop([result])).toEqual([]);
    expect(heldLoop([result, { ...result, tierdLoopDelayMs: 21 }])).toEqual([
      expect.stringContaining('late by 21.0 ms'),
    ]);
  });

  test('rounds come as one line of JSON', () => {
    expect(roundsOf('[{"seconds":0.5,"cpuSeconds":0.25,"pages":3,"runs":2}]\n')).toEqual([
      { seconds: 0.5, cpuSeconds: 0.25, pages: 3 },
    ]);
    expect(roundsOf('[{"seconds":0.5,"cpuSeconds":0.25,"pages":3,"loopDelayMs":1.5}]')).toMatchObject([
      { loopDelayMs: 1.5 },
    ]);
    expect(() => roundsOf('{}')).toThrow('not a list of rounds');
  });
});

describe('CPU time a GiB migrated', () => {
  const run = (daemonCpuSeconds: number, gib: number, secondsTo99: number | null = 10): EngineRun => ({
    secondsTo99,
    migratedBytes: gib * GIB,
    daemonCpuSeconds,
    kdamondCpuSeconds: 1,
  });

  test('is that of each run by what it migrated, and then the median', () => {
    const result = engineCost('7.3', 'room', 'damos', [run(1, 0.25), run(2, 0.25), run(9, 0.5)]);
    expect(result).toMatchObject({ daemonCpuSecondsPerGib: 8, kdamondCpuSecondsPerGib: 4, cpuSecondsPerGib: 12 });
    expect(report({ ...NOTHING, engineCost: [result] })).toMatch(
      /\| room, 7\.3, damos +\| +10\.0 \| +256 \| +8\.0 \| +4\.0 \| +12\.0 \|/,
    );
  });

  test('a run that never got there is slower than all others', () => {
    expect(engineCost('7.3', 'full', 'damos', [run(1, 1, null), run(1, 1, 30), run(1, 1, 20)]).secondsTo99).toBe(30);
    expect(
      engineCost('7.3', 'full', 'damos', [run(1, 1, null), run(1, 1, null), run(1, 1, 20)]).secondsTo99,
    ).toBeNull();
  });
});

describe('ways to a snapshot', () => {
  const window = (way: SnapshotWindow['way'], node: number, kdamond: number, wallMs: readonly number[]) =>
    JSON.stringify({
      way,
      seconds: 10,
      nodeCpuSeconds: node,
      kdamondCpuSeconds: kdamond,
      taken: wallMs.map((ms) => ({ regions: 1000, wallMs: ms })),
    });
  const windows = windowsOf(
    [
      'what is no window is passed over',
      window('nothing', 0.1, 2, []),
      window('trace', 0.3, 2.1, [4, 6]),
      window('tried_regions', 1.1, 2.5, [50, 70, 60, 90, 40]),
    ].join('\n'),
  );

  test('cost what they add to a kdamond that is only monitoring, a snapshot', () => {
    const byFiles = snapshotWay('6.12', 500, 'tried_regions', windows);
    expect(byFiles.nodeCpuMs).toBeCloseTo(200);
    expect(byFiles.kdamondCpuMs).toBeCloseTo(100);
    const byTrace = snapshotWay('6.12', 500, 'trace', windows);
    expect(byTrace.nodeCpuMs).toBeCloseTo(100);
    expect(byTrace.kdamondCpuMs).toBeCloseTo(50);
  });

  test('take the median time of all snapshots', () => {
    const result = snapshotWay('6.12', 500, 'tried_regions', windows);
    expect(result).toMatchObject({ wallMs: 60, regions: 1000, snapshots: 5 });
    expect(report({ ...NOTHING, snapshotWays: [result] })).toMatch(
      /\| tried_regions, 6\.12 \| +1000 \| +60\.0 \| +200\.0 \| +100\.0 \|/,
    );
  });
});

test('the 99th percentile is the time that 99 of 100 answers needed at most', () => {
  const times = Array.from({ length: 200 }, (_, index) => 200 - index);
  expect(distribution(times)).toEqual({ requests: 200, medianMs: 100, p99Ms: 198, maxMs: 200 });
  expect(distribution([7])).toEqual({ requests: 1, medianMs: 7, p99Ms: 7, maxMs: 7 });
});
